<?php
// What all the CRMs of the tests share. Started as `php -S 127.0.0.1:PORT NAME.php`, with the folder of the store in KITH_STORE:
//   store.json      the records, for tests to look into       calls.ndjson   each request: operation, headers, envelope
//   faults.json     what the next requests shall meet, in order; a request takes the first:
//     none · expire · throttle · busy (a fault that may pass) · html (a page, 200) · html500 · empty · cut (the answer breaks off) · stack (no XML, 500)
//     · lost (done, and the answer never comes: 504) · slow:N (seconds, then as always) · unavailable (503)
declare(strict_types=1);
ini_set('display_errors', '0');
ini_set('soap.wsdl_cache_enabled', '0');
ini_set('default_charset', 'UTF-8');

const USER = 'kith';
const PASSWORD = 's3cret&<>"ü';

function folder(): string { return getenv('KITH_STORE') ?: sys_get_temp_dir(); }
function wsdl(string $path): string { return dirname(__DIR__, 3) . '/connectors/wsdl/' . $path; }

/** Changes the store under a lock; what the function returns is handed on. */
function store(callable $change)
{
    $file = fopen(folder() . '/store.json', 'c+');
    flock($file, LOCK_EX);
    $text = stream_get_contents($file);
    $all = $text === '' ? [] : json_decode($text, true, 64, JSON_THROW_ON_ERROR);
    try {
        $result = $change($all);
    } finally {
        $text = json_encode((object) $all, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRETTY_PRINT | JSON_THROW_ON_ERROR);
        rewind($file);
        ftruncate($file, 0);
        fwrite($file, $text);
        fclose($file);
    }
    return $result;
}

/** What this request shall meet. */
function next_fault(): string
{
    $path = folder() . '/faults.json';
    if (!is_file($path)) return 'none';
    $file = fopen($path, 'c+');
    flock($file, LOCK_EX);
    $all = json_decode(stream_get_contents($file) ?: '[]', true);
    $first = array_shift($all) ?? 'none';
    rewind($file);
    ftruncate($file, 0);
    fwrite($file, json_encode($all));
    fclose($file);
    return $first;
}

/** Called when a request shall meet a fault that only the CRM can word. Null where there is none. */
class Fault_of_the_moment
{
    public static ?string $name = null;
    /** Throws what the CRM says, once. @param array<string, callable> $say */
    public static function told(array $say): void
    {
        $name = self::$name;
        self::$name = null;
        if ($name !== null && isset($say[$name])) throw $say[$name]();
    }
}

/** A record with this word in a value is refused; the CRM says how. */
function bad(...$values): bool
{
    foreach ($values as $value) if (is_string($value) && str_contains($value, 'BOOM')) return true;
    return false;
}

function detail(string $xml): SoapVar { return new SoapVar($xml, XSD_ANYXML); }

function operation_of(string $envelope): string
{
    return preg_match('#<(?:[\w-]+:)?Body[^>]*>\s*<(?:[\w-]+:)?([\w.-]+)#', $envelope, $found) ? $found[1] : '';
}

/** Handles one request. Logins are not counted among the requests that meet faults. */
function serve(string $wsdl, object $crm, array $logins = [], array $options = []): void
{
    if ($_SERVER['REQUEST_METHOD'] === 'GET') {
        if (isset($_GET['wsdl'])) {
            header('Content-Type: text/xml');
            readfile($wsdl);
        } else {
            echo "ok\n";
        }
        return;
    }
    $envelope = file_get_contents('php://input');
    $operation = operation_of($envelope);
    $headers = array_filter($_SERVER, fn($name) => str_starts_with($name, 'HTTP_') || $name === 'CONTENT_TYPE', ARRAY_FILTER_USE_KEY);
    file_put_contents(folder() . '/calls.ndjson', json_encode(['operation' => $operation, 'path' => $_SERVER['REQUEST_URI'], 'headers' => $headers, 'envelope' => $envelope], JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES) . "\n", FILE_APPEND | LOCK_EX);
    $fault = in_array($operation, $logins, true) ? 'none' : next_fault();
    if (str_starts_with($fault, 'slow:')) sleep((int) substr($fault, 5));
    switch ($fault) {
        case 'html': echo '<!DOCTYPE html><html><body>Session timed out &copy; proxy</body></html>'; return;
        case 'html500': http_response_code(500); echo '<html><body><h1>Runtime Error</h1><p>at System.Web</p></body></html>'; return;
        case 'empty': return;
        case 'stack': http_response_code(500); header('Content-Type: text/plain'); echo "java.lang.NullPointerException\n\tat com.crm.Service.upsert(Service.java:42)\n"; return;
        case 'unavailable': http_response_code(503); echo 'down for maintenance'; return;
        case 'expire': case 'throttle': case 'busy': Fault_of_the_moment::$name = $fault;
    }
    ob_start();
    if (method_exists($crm, 'handle')) {
        $crm->handle($envelope);
        finish($fault, ob_get_clean());
        return;
    }
    $server = new SoapServer($wsdl, $options + ['soap_version' => SOAP_1_1, 'features' => SOAP_SINGLE_ELEMENT_ARRAYS, 'cache_wsdl' => WSDL_CACHE_NONE, 'encoding' => 'UTF-8']);
    $server->setObject($crm);
    $server->handle($envelope);
    finish($fault, ob_get_clean());
}

function finish(string $fault, string $answer): void
{
    if ($fault === 'lost') {
        http_response_code(504);
        header('Content-Type: text/html');
        echo '<html><body>Gateway Timeout</body></html>';
        return;
    }
    echo $fault === 'cut' ? substr($answer, 0, (int) (strlen($answer) * 0.7)) : $answer;
}

/** WS-Security's UsernameToken as PHP decodes it. */
function wsse_ok($security): bool
{
    $token = $security->UsernameToken ?? null;
    $text = fn($value) => is_object($value) ? (string) ($value->_ ?? '') : (string) $value;
    return $token !== null && $text($token->Username ?? '') === USER && $text($token->Password ?? '') === PASSWORD;
}

function basic_ok(): bool { return ($_SERVER['PHP_AUTH_USER'] ?? '') === USER && ($_SERVER['PHP_AUTH_PW'] ?? '') === PASSWORD; }
