<?php
// Oracle CRM On Demand's Web services v2.0 for social media and social profiles on PHP's SoapServer: UsernameToken, user keys, conditions in fields, a rate limit's words.
declare(strict_types=1);
require __DIR__ . '/common.php';

final class OnDemand
{
    private bool $in = false;

    public function __construct(private string $object) {}

    public function Security($security)
    {
        if (!wsse_ok($security)) throw new SoapFault('env:Server', 'SBL-ODU-01007: The HTTP request did not contain a valid SOAPAction header or login.');
        $this->in = true;
    }

    private function allowed(): void
    {
        if (!$this->in) throw new SoapFault('Server', 'SBL-ODU-01007: no login');
        Fault_of_the_moment::told([
            'throttle' => fn() => new SoapFault('Server', 'The maximum rate of requests was exceeded. Please try again in 50 ms.'),
            'expire' => fn() => new SoapFault('Server', 'Internal Error: Session is not available. Aborting.'),
            'busy' => fn() => new SoapFault('Server', 'The record has been modified by another user(SBL-DAT-00542)'),
        ]);
    }

    public function __call(string $method, array $arguments)
    {
        $this->allowed();
        $list = 'ListOf' . $this->object;
        $records = $arguments[0]->$list->{$this->object} ?? [];
        $records = is_array($records) ? $records : [$records];
        return store(function (array &$all) use ($method, $arguments, $list, $records) {
            $action = substr($method, strlen($this->object));
            $answers = $action === 'QueryPage' ? $this->query($all, (array) $records[0], (int) ($arguments[0]->$list->pagesize ?? 10)) : [];
            if ($action !== 'QueryPage') foreach ($records as $record) $answers[] = $this->{lcfirst($action)}($all, (array) $record);
            return [$list => [$this->object => $answers, 'lastpage' => true]];
        });
    }

    private function wanted(): array
    {
        return $this->object === 'SocialMedia' ? ['AuthorId', 'Community', 'PostLink', 'UniqueID'] : ['ContactId', 'AuthorId', 'Community', 'Active'];
    }

    private function insert(array &$all, array $record): array
    {
        foreach ($this->wanted() as $field) {
            if (($record[$field] ?? '') === '') throw new SoapFault('Server', "Error: A required field '$field' is missing(SBL-DAT-00498)");
        }
        if (bad($record['Post'] ?? null)) throw new SoapFault('Server', 'The value is not in the pick list(SBL-DAT-00225)');
        foreach ($all[$this->object] ?? [] as $other) {
            if ($other['ExternalSystemId'] === $record['ExternalSystemId']) throw new SoapFault('Server', "The same values for 'External Unique Id' already exist(SBL-DAT-00382)");
        }
        $id = sprintf('AOPA-%06X', random_int(0, 0xFFFFFF));
        $all[$this->object][$id] = ['Id' => $id, 'writes' => 1] + $record;
        return ['Id' => $id, 'ExternalSystemId' => $record['ExternalSystemId'], 'ModId' => 0];
    }

    private function update(array &$all, array $record): array
    {
        $id = $record['Id'] ?? '';
        if (!isset($all[$this->object][$id])) throw new SoapFault('Server', 'No rows retrieved corresponding to the business component(SBL-EAI-04378)');
        $there = $all[$this->object][$id];
        $all[$this->object][$id] = ['writes' => $there['writes'] + 1] + $record + $there;
        return ['Id' => $id, 'ExternalSystemId' => $there['ExternalSystemId'], 'ModId' => $there['writes']];
    }

    private function delete(array &$all, array $record): array
    {
        if (!isset($all[$this->object][$record['Id']])) throw new SoapFault('Server', 'No rows retrieved corresponding to the business component(SBL-EAI-04378)');
        unset($all[$this->object][$record['Id']]);
        return ['Id' => $record['Id']];
    }

    /** Fields that are named come back; a text in one is a condition ='…'. */
    private function query(array $all, array $fields, int $size): array
    {
        $text = fn($term) => is_object($term) ? (string) ($term->_ ?? '') : (string) $term;
        $found = array_filter($all[$this->object] ?? [], function ($row) use ($fields, $text) {
            foreach ($fields as $name => $term) {
                if (preg_match("/^='(.*)'$/s", $text($term), $m) && ($row[$name] ?? null) !== $m[1]) return false;
            }
            return true;
        });
        return array_slice(array_values(array_map(fn($row) => array_intersect_key($row, $fields), $found)), 0, $size);
    }
}

$object = str_starts_with(operation_of(file_get_contents('php://input')), 'SocialProfile') ? 'SocialProfile' : 'SocialMedia';
serve(wsdl('oracle-crm-on-demand/' . strtolower($object) . '.wsdl'), new OnDemand($object));
