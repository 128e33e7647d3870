<?php
// PHP's own SoapServer, document/literal: /crm speaks SOAP 1.1, /crm12 1.2. The store is one file, written under a lock.
ini_set('soap.wsdl_cache_enabled', '0');
ini_set('display_errors', '0');
const NS = 'urn:example:stack:v1';
$DIR = getenv('KITH_STORE');
$twelve = str_starts_with($_SERVER['REQUEST_URI'], '/crm12');
if ($_SERVER['REQUEST_METHOD'] === 'GET') { echo "ok\n"; exit; }

/** Runs something on the store, alone. */
function store(callable $do) {
    global $DIR;
    $file = fopen("$DIR/store.json", 'c+');
    flock($file, LOCK_EX);
    $data = json_decode(stream_get_contents($file) ?: '{}', true) ?: [];
    $result = $do($data);
    ftruncate($file, 0); rewind($file); fwrite($file, json_encode($data, JSON_UNESCAPED_UNICODE)); fflush($file);
    flock($file, LOCK_UN);
    return $result;
}
function fault(string $code, string $text, string $crm, bool $retry): SoapFault {
    global $twelve;
    $detail = new SoapVar('<n:CrmFault xmlns:n="' . NS . "\"><n:Code>$crm</n:Code><n:Retryable>" . ($retry ? 'true' : 'false') . '</n:Retryable></n:CrmFault>', XSD_ANYXML);
    return new SoapFault($twelve ? ($code === 'Client' ? 'Sender' : 'Receiver') : $code, $text, null, $detail);
}
/** What is no SOAP at all. */
function raw(int $status, string $type, string $text): never {
    http_response_code($status); header("Content-Type: $type"); echo $text; exit;
}
class Crm {
    private ?string $session = null;
    public function Session($h) { $this->session = $h->Id ?? ''; }
    private function auth(): void {
        $valid = store(fn(&$d) => in_array($this->session, $d['sessions'] ?? [], true));
        if ($this->session === null) throw fault('Client', 'No session header', 'NO_SESSION', false);
        if (!$valid) throw fault('Client', 'Session expired', 'SESSION_EXPIRED', true);
    }
    public function Login($p) {
        if ($p->User !== 'svc' || $p->Password !== 's3cret&<>') throw fault('Client', 'Invalid login', 'INVALID_LOGIN', false);
        usleep(50000);
        return ['LoginResult' => store(function (&$d) { $d['logins'] = ($d['logins'] ?? 0) + 1; $d['sessions'][] = $s = 'SID-' . bin2hex(random_bytes(8)); return $s; })];
    }
    public function UpsertContact($p) {
        $this->auth();
        $name = $p->Contact->LastName;
        match ($name) {
            'DEADLOCK' => throw fault('Server', 'Deadlock', 'DEADLOCK', true),
            'CRASH' => throw fault('Server', 'Null pointer', 'INTERNAL', false),
            'BAD' => throw fault('Client', 'The name is bad', 'BAD_NAME', false),
            'HTML' => raw(200, 'text/html', '<html><head><title>Log in</title></head><body>Log in</body></html>'),
            'HTML500' => raw(500, 'text/html', '<html><body><h1>It broke</h1></body></html>'),
            'TRACE' => raw(500, 'text/plain', "java.lang.NullPointerException\n\tat com.example.Crm.upsert(Crm.java:42)"),
            'WARNING' => raw(200, 'text/xml', "<br />\n<b>Warning</b>: undefined variable in crm.php on line 7<br />"),
            'CUT' => raw(200, 'text/xml', '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><n:UpsertContactResp'),
            'OTHER' => raw(200, 'text/xml', '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><n:LoginResponse xmlns:n="' . NS . '"><n:LoginResult>x</n:LoginResult></n:LoginResponse></s:Body></s:Envelope>'),
            'MISMATCH' => raw(500, 'text/xml', '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:VersionMismatch</faultcode><faultstring>Wrong version</faultstring></s:Fault></s:Body></s:Envelope>'),
            'BUSY' => raw(503, 'text/plain', 'busy'),
            'TWELVE' => raw(500, 'text/xml', '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>s:DUP</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en">Twice</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>'),
            default => null,
        };
        [$id, $new] = store(function (&$d) use ($p) {
            $new = !isset($d['contacts'][$p->ExternalId]);
            $id = $new ? sprintf('C%05d', count($d['contacts'] ?? []) + 1) : $d['contacts'][$p->ExternalId]['Id'];
            $d['contacts'][$p->ExternalId] = ['Id' => $id, 'ExternalId' => $p->ExternalId] + (array)$p->Contact;
            $d['writes'] = ($d['writes'] ?? 0) + 1;
            return [$id, $new];
        });
        return ['Id' => $id, 'Created' => $new];
    }
    public function FindContacts($p) {
        $this->auth();
        $all = store(fn(&$d) => array_values(array_filter($d['contacts'] ?? [], fn($c) => $p->Query === '' || $c['ExternalId'] === $p->Query)));
        return ['Total' => count($all), 'Contact' => array_slice($all, $p->Offset, $p->Limit)];
    }
}
$server = new SoapServer(__DIR__ . '/stack.wsdl', ['soap_version' => $twelve ? SOAP_1_2 : SOAP_1_1, 'features' => SOAP_SINGLE_ELEMENT_ARRAYS, 'cache_wsdl' => WSDL_CACHE_NONE]);
$server->setObject(new Crm());
$server->handle();
