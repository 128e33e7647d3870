<?php
// Salesforce's partner API on PHP's SoapServer: login() that tells the address, a session header, upsert by external id of up to 200 records with a result each, queries in pages.
// The records' fields are any elements: they are read from the envelope itself.
declare(strict_types=1);
require __DIR__ . '/common.php';

const OBJECTS = 'urn:sobject.partner.soap.sforce.com';
const PARTNER = 'urn:partner.soap.sforce.com';

final class Salesforce
{
    private bool $in = false;

    private static function fault(string $code, string $text): SoapFault
    {
        return new SoapFault(['urn:fault.partner.soap.sforce.com', $code], "$code: $text", null,
            detail("<sf:ApiFault xmlns:sf=\"urn:fault.partner.soap.sforce.com\"><sf:exceptionCode>$code</sf:exceptionCode><sf:exceptionMessage>$text</sf:exceptionMessage></sf:ApiFault>"));
    }

    public function SessionHeader($header)
    {
        $this->in = store(fn(array &$all) => in_array($header->sessionId, $all['sessions'] ?? [], true));
    }

    private function allowed(): void
    {
        if (!$this->in) throw self::fault('INVALID_SESSION_ID', 'Invalid Session ID found in SessionHeader: Illegal Session');
        Fault_of_the_moment::told([
            'expire' => fn() => store(function (array &$all) { $all['sessions'] = []; return self::fault('INVALID_SESSION_ID', 'Session expired or invalid'); }),
            'throttle' => fn() => self::fault('REQUEST_LIMIT_EXCEEDED', 'TotalRequests Limit exceeded.'),
            'busy' => fn() => self::fault('UNKNOWN_EXCEPTION', 'An unexpected error occurred.'),
        ]);
    }

    public function login($p)
    {
        if ($p->username !== USER || $p->password !== PASSWORD) throw self::fault('INVALID_LOGIN', 'Invalid username, password, security token; or user locked out.');
        $id = '00D' . bin2hex(random_bytes(20));
        store(function (array &$all) use ($id) { $all['sessions'][] = $id; });
        $server = getenv('KITH_SERVER_URL') ?: 'http://' . $_SERVER['HTTP_HOST'];
        return ['result' => ['metadataServerUrl' => null, 'passwordExpired' => false, 'sandbox' => true, 'serverUrl' => "$server/services/Soap/u/64.0/00D000000000001", 'sessionId' => $id, 'userId' => '005000000000001AAA']];
    }

    public function getServerTimestamp() { $this->allowed(); return ['result' => ['timestamp' => gmdate('Y-m-d\TH:i:s\Z')]]; }

    /** The records of the request as it came. @return list<array> */
    private static function records(): array
    {
        $document = new DOMDocument();
        $document->loadXML(file_get_contents('php://input'));
        $records = [];
        foreach ($document->getElementsByTagNameNS(PARTNER, 'sObjects') as $element) {
            $record = ['fieldsToNull' => []];
            foreach ($element->childNodes as $child) {
                if (!$child instanceof DOMElement) continue;
                if ($child->namespaceURI !== OBJECTS) throw self::fault('INVALID_FIELD', "No such column '{$child->localName}'");
                if ($child->localName === 'fieldsToNull') $record['fieldsToNull'][] = $child->textContent;
                elseif ($child->getAttributeNS('http://www.w3.org/2001/XMLSchema-instance', 'nil') !== 'true') $record[$child->localName] = $child->textContent;
            }
            $records[] = $record;
        }
        return $records;
    }

    public function upsert($p)
    {
        $this->allowed();
        $records = self::records();
        if (count($records) > 200) throw self::fault('EXCEEDED_ID_LIMIT', 'record limit reached. cannot submit more than 200 records into this call');
        $seen = array_count_values(array_map(fn($record) => $record[$p->externalIDFieldName] ?? '', $records));
        return ['result' => store(function (array &$all) use ($p, $records, $seen) {
            return array_map(function ($record) use (&$all, $p, $seen) {
                $key = $record[$p->externalIDFieldName] ?? '';
                $error = fn($code, $text) => ['created' => false, 'errors' => [['message' => $text, 'statusCode' => $code]], 'id' => null, 'success' => false];
                if ($key === '') return $error('MISSING_ARGUMENT', 'External id not specified');
                if ($seen[$key] > 1) return $error('DUPLICATE_VALUE', 'Duplicate external id specified: ' . $key);
                if (bad(...array_values($record))) return $error('FIELD_CUSTOM_VALIDATION_EXCEPTION', 'The value is not allowed');
                if (str_contains($record['Body__c'] ?? '', 'LOCKED') && !isset($all['locked'][$key])) { $all['locked'][$key] = true; return $error('UNABLE_TO_LOCK_ROW', 'unable to obtain exclusive access to this record'); }
                $type = $record['type'];
                $new = !isset($all[$type][$key]);
                $there = $all[$type][$key] ?? ['Id' => sprintf('a00%012dAAA', count($all[$type] ?? []) + 1), 'writes' => 0];
                $nulls = array_fill_keys($record['fieldsToNull'], null);
                unset($record['fieldsToNull'], $record['type']);
                $all[$type][$key] = ['writes' => $there['writes'] + 1] + $record + $nulls + $there;
                return ['created' => $new, 'id' => $there['Id'], 'success' => true];
            }, $records);
        })];
    }

    /** `SELECT a, b FROM T [WHERE x IN ('…')] [ORDER BY …]`, 200 a page. */
    public function query($p)
    {
        $this->allowed();
        if (!preg_match("/^SELECT (.+) FROM (\\w+)(?: WHERE (\\w+) IN \\((.*)\\))?(?: ORDER BY \\w+)?$/s", $p->queryString, $m)) throw self::fault('MALFORMED_QUERY', 'unexpected token');
        return $this->page(array_map('trim', explode(',', $m[1])), $m[2], $m[3] ?? '', $m[4] ?? '', 0);
    }

    public function queryMore($p)
    {
        $this->allowed();
        $parts = json_decode(base64_decode($p->queryLocator), true) ?? throw self::fault('INVALID_QUERY_LOCATOR', 'invalid query locator');
        return $this->page(...$parts);
    }

    private function page(array $fields, string $type, string $where, string $in, int $from): array
    {
        preg_match_all("/'((?:[^'\\\\]|\\\\.)*)'/", $in, $wanted);
        $rows = array_values(store(fn(array &$all) => array_filter($all[$type] ?? [], fn($row) => $where === '' || in_array($row[$where] ?? '', $wanted[1], true))));
        $records = array_map(function ($row) use ($fields, $type) {
            $cells = implode('', array_map(fn($name) => "<sf:$name>" . htmlspecialchars((string) ($row[$name] ?? ''), ENT_XML1) . "</sf:$name>", $fields));
            return new SoapVar("<records xmlns=\"urn:partner.soap.sforce.com\" xmlns:sf=\"urn:sobject.partner.soap.sforce.com\"><sf:type>$type</sf:type>$cells</records>", XSD_ANYXML);
        }, array_slice($rows, $from, 200));
        $done = $from + 200 >= count($rows);
        $locator = $done ? '<queryLocator xsi:nil="true" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"/>' : '<queryLocator>' . base64_encode(json_encode([$fields, $type, $where, $in, $from + 200])) . '</queryLocator>';
        $inside = '<done>' . ($done ? 'true' : 'false') . "</done>$locator" . implode('', array_map(fn($record) => $record->enc_value, $records)) . '<size>' . count($rows) . '</size>';
        return ['result' => new SoapVar("<result xmlns=\"urn:partner.soap.sforce.com\">$inside</result>", XSD_ANYXML)];
    }

    public function delete($p)
    {
        $this->allowed();
        return ['result' => array_map(fn($id) => store(function (array &$all) use ($id) {
            foreach ($all as $type => $rows) foreach (is_array($rows) ? $rows : [] as $key => $row) {
                if (is_array($row) && ($row['Id'] ?? '') === $id) { unset($all[$type][$key]); return ['id' => $id, 'success' => true]; }
            }
            return ['errors' => [['message' => 'entity is deleted', 'statusCode' => 'ENTITY_IS_DELETED']], 'id' => null, 'success' => false];
        }), (array) $p->ids)];
    }
}

serve(wsdl('salesforce/partner.wsdl'), new Salesforce(), ['login']);
