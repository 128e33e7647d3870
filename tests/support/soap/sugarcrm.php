<?php
// SugarCRM's SOAP API v4_1 on PHP's SoapServer: rpc/encoded, MD5 login, sessions that die (fault 11 over HTTP 500), texts that come back HTML-escaped.
declare(strict_types=1);
require __DIR__ . '/common.php';

final class Sugar
{
    private static function fault(int $number, string $name, string $text): SoapFault { return new SoapFault((string) $number, $name, '', $text); }

    private function session(string $id): void
    {
        Fault_of_the_moment::told([
            'expire' => fn() => store(function (array &$all) { $all['sessions'] = []; return self::fault(11, 'Invalid Session ID', 'The session ID is invalid'); }),
            'throttle' => fn() => new SoapFault('Server', 'Too many connections'),
            'busy' => fn() => new SoapFault('Server', 'MySQL server has gone away'),
        ]);
        if (!store(fn(array &$all) => in_array($id, $all['sessions'] ?? [], true))) throw self::fault(11, 'Invalid Session ID', 'The session ID is invalid');
    }

    public function login($auth, $application = '', $list = [])
    {
        if ($auth->user_name !== USER || $auth->password !== md5(PASSWORD)) throw self::fault(10, 'Invalid Login', 'Login attempt failed please check the username and password');
        $id = bin2hex(random_bytes(13));
        store(function (array &$all) use ($id) { $all['sessions'][] = $id; });
        return ['id' => $id, 'module_name' => 'Users', 'name_value_list' => [['name' => 'user_name', 'value' => USER]]];
    }

    public function logout($session) { store(function (array &$all) use ($session) { $all['sessions'] = array_values(array_diff($all['sessions'] ?? [], [$session])); }); }

    public function get_server_info() { return ['flavor' => 'CE', 'version' => '6.5.25', 'gmt_time' => gmdate('Y-m-d H:i:s')]; }

    /** As the CRM does: an id that is not there is only made with new_with_id; else the UPDATE meets no row, and nobody is told. */
    private static function save(array &$all, string $module, array $list): string
    {
        $values = [];
        foreach ($list as $pair) $values[$pair->name] = htmlspecialchars((string) $pair->value, ENT_QUOTES);
        $id = $values['id'] ?? '';
        $new = $values['new_with_id'] ?? '';
        unset($values['new_with_id']);
        $there = isset($all[$module][$id]);
        if ($id === '') $id = sprintf('%s-%s', bin2hex(random_bytes(4)), bin2hex(random_bytes(13)));
        elseif ($there && $new !== '') throw new SoapFault('Server', 'Database failure. Please refer to suitecrm.log for details.');
        elseif (!$there && $new === '') return $id;
        if (strlen($id) > 36) throw new SoapFault('Server', 'Database failure. Please refer to suitecrm.log for details.');
        $all[$module][$id] = ['id' => $id] + $values + ($all[$module][$id] ?? []) + ['deleted' => '0'];
        return $id;
    }

    public function set_entry($session, $module, $list)
    {
        $this->session($session);
        foreach ($list as $pair) if (bad($pair->value)) throw self::fault(40, 'Access Denied', 'You do not have access');
        return ['id' => store(function (array &$all) use ($module, $list) { return self::save($all, $module, $list); })];
    }

    /** A record that may not be written is left out of the ids. */
    public function set_entries($session, $module, $lists)
    {
        $this->session($session);
        return ['ids' => store(function (array &$all) use ($module, $lists) {
            $ids = [];
            foreach ($lists as $list) {
                if (!bad(...array_map(fn($pair) => $pair->value, $list))) $ids[] = self::save($all, $module, $list);
            }
            return $ids;
        })];
    }

    /** The few conditions that we send: `x.id IN ('a','b')`, `x.id > 'a'`, nothing. */
    private static function found(array $all, string $module, string $query, int $deleted): array
    {
        $rows = array_filter($all[$module] ?? [], fn($row) => (int) ($row['deleted'] ?? 0) === $deleted);
        if (preg_match("/^\\w+\\.(\\w+) IN \\((.*)\\)$/s", $query, $m)) {
            preg_match_all("/'([^']*)'/", $m[2], $wanted);
            $rows = array_filter($rows, fn($row) => in_array($row[$m[1]] ?? '', $wanted[1], true));
        } elseif (preg_match("/^\\w+\\.(\\w+) > '(.*)'$/s", $query, $m)) {
            $rows = array_filter($rows, fn($row) => strcmp($row[$m[1]] ?? '', $m[2]) > 0);
        } elseif ($query !== '') {
            throw new SoapFault('Server', 'Database failure. Please refer to suitecrm.log for details.');
        }
        ksort($rows, SORT_STRING);
        return array_values($rows);
    }

    private static function entry(string $module, array $row, array $fields): array
    {
        $fields = $fields ?: array_keys($row);
        $list = array_map(fn($name) => ['name' => $name, 'value' => (string) ($row[$name] ?? '')], $fields);
        return ['id' => $row['id'], 'module_name' => $module, 'name_value_list' => $list];
    }

    public function get_entry_list($session, $module, $query = '', $order = '', $offset = 0, $fields = [], $links = [], $max = 20, $deleted = 0, $favorites = false)
    {
        $this->session($session);
        $rows = store(fn(array &$all) => self::found($all, $module, (string) $query, (int) $deleted));
        $page = array_slice($rows, (int) $offset, (int) $max ?: 20);
        return ['result_count' => count($page), 'total_count' => count($rows), 'next_offset' => (int) $offset + count($page),
            'entry_list' => array_map(fn($row) => self::entry($module, $row, (array) $fields), $page), 'relationship_list' => []];
    }

    public function get_entry($session, $module, $id, $fields = [], $links = [], $track = false)
    {
        $this->session($session);
        $row = store(fn(array &$all) => $all[$module][$id] ?? null);
        if ($row === null) $row = ['id' => $id, 'warning' => 'Access to this object is denied since it has been deleted or does not exist', 'deleted' => '1'];
        return ['entry_list' => [self::entry($module, $row, (array) $fields)], 'relationship_list' => []];
    }

    public function get_entries_count($session, $module, $query = '', $deleted = 0)
    {
        $this->session($session);
        return ['result_count' => store(fn(array &$all) => count(self::found($all, $module, (string) $query, (int) $deleted)))];
    }

    public function set_relationship($session, $module, $id, $link, $related, $list = [], $delete = 0)
    {
        $this->session($session);
        return store(function (array &$all) use ($module, $id, $link, $related) {
            $made = 0;
            foreach ($related as $other) { $all['links']["$module/$id/$link"][] = $other; $made++; }
            return ['created' => $made, 'failed' => 0, 'deleted' => 0];
        });
    }
}

serve(wsdl('sugarcrm/sugarcrm.wsdl'), new Sugar(), ['login', 'get_server_info']);
