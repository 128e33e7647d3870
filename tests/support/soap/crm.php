<?php
// The CRM of connectors/wsdl/soap on PHP's SoapServer: document/literal, a session header, upsert by key, many records a call with a result each.
declare(strict_types=1);
require __DIR__ . '/common.php';

final class Crm
{
    private bool $session = false;

    private static function fault(string $side, string $text, string $code, bool $retryable): SoapFault
    {
        $again = $retryable ? 'true' : 'false';
        return new SoapFault($side, $text, null, detail("<c:CrmFault xmlns:c=\"urn:example:crm:v1\"><c:Code>$code</c:Code><c:Retryable>$again</c:Retryable></c:CrmFault>"));
    }

    public function Session($header)
    {
        $this->session = store(fn(array &$all) => in_array($header->Id, $all['sessions'] ?? [], true));
        if (!$this->session) throw self::fault('Client', 'Session expired', 'SESSION_EXPIRED', true);
    }

    private function allowed(): void
    {
        if (!$this->session) throw self::fault('Client', 'No session', 'NO_SESSION', false);
        Fault_of_the_moment::told([
            'expire' => fn() => store(function (array &$all) { $all['sessions'] = []; return self::fault('Client', 'Session expired', 'SESSION_EXPIRED', true); }),
            'throttle' => fn() => self::fault('Server', 'Too many requests', 'TOO_MANY', true),
            'busy' => fn() => self::fault('Server', 'Deadlock', 'DEADLOCK', true),
        ]);
    }

    public function Login($p)
    {
        if ($p->User !== USER || $p->Password !== PASSWORD) throw self::fault('Client', 'Invalid login', 'INVALID_LOGIN', false);
        $id = bin2hex(random_bytes(8));
        store(function (array &$all) use ($id) { $all['sessions'][] = $id; });
        return ['SessionId' => $id];
    }

    private static function save(array &$all, object $record): array
    {
        $new = !isset($all['interactions'][$record->ExternalKey]);
        $id = $new ? sprintf('I%05d', count($all['interactions'] ?? []) + 1) : $all['interactions'][$record->ExternalKey]['Id'];
        $all['interactions'][$record->ExternalKey] = ['Id' => $id, 'Version' => $record->Version ?? null, 'writes' => 1 + ($all['interactions'][$record->ExternalKey]['writes'] ?? 0)] + (array) $record->Interaction;
        return ['Id' => $id, 'Created' => $new];
    }

    public function UpsertInteraction($p)
    {
        $this->allowed();
        if (bad(...array_values((array) $p->Interaction))) throw self::fault('Client', 'The subject is not allowed', 'REFUSED', false);
        return store(fn(array &$all) => self::save($all, $p));
    }

    public function UpsertInteractions($p)
    {
        $this->allowed();
        return ['Result' => store(function (array &$all) use ($p) {
            $results = [];
            foreach ($p->Record as $record) {
                $bad = bad(...array_values((array) $record->Interaction));
                $results[] = ['ExternalKey' => $record->ExternalKey, 'Ok' => !$bad] + ($bad ? ['Code' => 'REFUSED'] : self::save($all, $record));
            }
            return array_reverse($results);        // nobody promised an order
        })];
    }

    public function FindInteraction($p)
    {
        $this->allowed();
        $found = store(fn(array &$all) => array_intersect_key($all['interactions'] ?? [], array_flip((array) $p->ExternalKey)));
        $record = fn($key, $row) => ['ExternalKey' => $key, 'Version' => $row['Version'], 'Interaction' => array_diff_key($row, ['Id' => 0, 'Version' => 0, 'writes' => 0])];
        return ['Record' => array_map($record, array_keys($found), $found)];
    }

    public function DeleteInteraction($p)
    {
        $this->allowed();
        return ['Deleted' => store(function (array &$all) use ($p) {
            $there = isset($all['interactions'][$p->ExternalKey]);
            unset($all['interactions'][$p->ExternalKey]);
            return $there;
        })];
    }

    public function FindContacts($p)
    {
        $this->allowed();
        $all = store(fn(array &$all) => $all['contacts'] ?? []);
        usort($all, fn($a, $b) => strcmp($a['Id'], $b['Id']));
        $after = array_values(array_filter($all, fn($row) => strcmp($row['Id'], $p->AfterId) > 0));
        return ['Total' => count($all), 'Contact' => array_slice($after, 0, $p->Limit)];
    }
}

serve(wsdl('soap/crm.wsdl'), new Crm(), ['Login']);
