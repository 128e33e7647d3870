<?php
// Dynamics' Organization service (…/Organization.svc/web). Its values are of any type, told by xsi:type, which PHP's SoapServer does not decode: the envelope is read by DOM, each
// message is validated against the WSDL's own schemas first, and the answer is written by hand. HTTP Basic stands for Windows authentication.
declare(strict_types=1);
require __DIR__ . '/common.php';

const A = 'http://schemas.microsoft.com/xrm/2011/Contracts';
const S = A . '/Services';
const B = 'http://schemas.datacontract.org/2004/07/System.Collections.Generic';
const XSI = 'http://www.w3.org/2001/XMLSchema-instance';

final class OrganizationFault extends Exception
{
    public function __construct(public int $number, string $text) { parent::__construct($text); }
    public function xml(string $name = 'a:OrganizationServiceFault'): string
    {
        return "<$name xmlns:a=\"" . A . "\"><a:ErrorCode>{$this->number}</a:ErrorCode><a:Message>" . htmlspecialchars($this->getMessage(), ENT_XML1) . '</a:Message><a:Timestamp>' . gmdate('Y-m-d\TH:i:s\Z') . "</a:Timestamp></$name>";
    }
}

function child(DOMElement $of, string $name): ?DOMElement
{
    foreach ($of->childNodes as $node) if ($node instanceof DOMElement && $node->localName === $name) return $node;
    return null;
}
function children(DOMElement $of, string $name): array
{
    return array_values(array_filter(iterator_to_array($of->childNodes), fn($node) => $node instanceof DOMElement && $node->localName === $name));
}
function text(?DOMElement $of): string { return $of === null ? '' : $of->textContent; }

/** A value with its type, as it came. */
function value(DOMElement $value): ?array
{
    if ($value->getAttributeNS(XSI, 'nil') === 'true') return null;
    [$prefix, $type] = explode(':', $value->getAttributeNS(XSI, 'type')) + ['', ''];
    $namespace = $value->lookupNamespaceURI($prefix);
    if ($namespace === 'http://www.w3.org/2001/XMLSchema') return [$type, $value->textContent];
    if ($namespace !== A) throw new OrganizationFault(-2147220989, "The type $type of a value is not known");
    return match ($type) {
        'EntityReference' => [$type, text(child($value, 'Id')), text(child($value, 'LogicalName'))],
        'OptionSetValue' => [$type, (int) text(child($value, 'Value'))],
        default => throw new OrganizationFault(-2147220989, "The type $type of a value is not known"),
    };
}

function pairs(?DOMElement $list): array
{
    $pairs = [];
    foreach ($list ? children($list, 'KeyValuePairOfstringanyType') : [] as $pair) $pairs[text(child($pair, 'key'))] = child($pair, 'value');
    return $pairs;
}

function entity(DOMElement $entity): array
{
    return [text(child($entity, 'LogicalName')), strtolower(text(child($entity, 'Id'))), array_map(fn($v) => value($v), pairs(child($entity, 'Attributes')))];
}

function write(array &$all, DOMElement $target, string $how): bool
{
    [$name, $id, $attributes] = entity($target);
    if (!in_array($name, ['socialprofile', 'socialactivity', 'incident'], true)) throw new OrganizationFault(-2147217150, "The entity with a name = '$name' was not found");
    foreach (['subject', 'title', 'description'] as $field) {
        if (bad($attributes[$field][1] ?? null)) throw new OrganizationFault(-2147220891, 'ISV code aborted the operation.');
        if (str_contains((string) ($attributes[$field][1] ?? ''), 'LOCKED') && !isset($all['locked'][$id])) { $all['locked'][$id] = true; throw new OrganizationFault(-2147204783, 'Sql error: Execution Timeout Expired.'); }
    }
    $there = isset($all[$name][$id]);
    if ($how === 'Create' && $there) throw new OrganizationFault(-2147220937, 'Cannot insert duplicate key.');
    if ($how === 'Update' && !$there) throw new OrganizationFault(-2147220969, "$name With Id = $id Does Not Exist");
    $all[$name][$id] = ['writes' => 1 + ($all[$name][$id]['writes'] ?? 0)] + $attributes + ($all[$name][$id] ?? []);
    return !$there;
}

/** One OrganizationRequest; its response as XML, the outer element aside. */
function execute(array &$all, DOMElement $request): string
{
    $parameters = pairs(child($request, 'Parameters'));
    $name = text(child($request, 'RequestName'));
    $pair = fn($key, $value) => "<a:KeyValuePairOfstringanyType><b:key>$key</b:key>$value</a:KeyValuePairOfstringanyType>";
    $results = '';
    switch ($name) {
        case 'WhoAmI':
            $results = $pair('UserId', '<b:value i:type="xs:string">5f5a0c3e-0000-4000-8000-000000000001</b:value>');
            break;
        case 'Create': case 'Update': case 'Upsert':
            $created = write($all, $parameters['Target'], $name);
            if ($name === 'Upsert') $results = $pair('RecordCreated', '<b:value i:type="xs:boolean">' . ($created ? 'true' : 'false') . '</b:value>');
            break;
        case 'ExecuteMultiple':
            $settings = $parameters['Settings'];
            if (text(child($settings, 'ContinueOnError')) !== 'true' || text(child($settings, 'ReturnResponses')) !== 'true') throw new OrganizationFault(-2147220989, 'Settings are missing');
            $requests = children($parameters['Requests'], 'OrganizationRequest');
            if (count($requests) > 1000) throw new OrganizationFault(-2147088227, 'The request batch size of exceeds the maximum batch size allowed.');
            $items = '';
            $faulted = 'false';
            foreach ($requests as $index => $one) {
                try {
                    $inside = '<c:Fault i:nil="true"/><c:RequestIndex>' . $index . '</c:RequestIndex><c:Response>' . execute($all, $one) . '</c:Response>';
                } catch (OrganizationFault $fault) {
                    $faulted = 'true';
                    $inside = $fault->xml('c:Fault') . '<c:RequestIndex>' . $index . '</c:RequestIndex><c:Response i:nil="true"/>';
                }
                $items .= "<c:ExecuteMultipleResponseItem>$inside</c:ExecuteMultipleResponseItem>";
            }
            $results = $pair('IsFaulted', "<b:value i:type=\"xs:boolean\">$faulted</b:value>") . $pair('Responses', "<b:value i:type=\"c:ExecuteMultipleResponseItemCollection\">$items</b:value>");
            break;
        default:
            throw new OrganizationFault(-2147219456, "Unrecognized request $name");
    }
    return "<a:ResponseName>$name</a:ResponseName><a:Results>$results</a:Results>";
}

function answer(array &$all, DOMElement $call): string
{
    switch ($call->localName) {
        case 'Execute':
            return '<ExecuteResponse xmlns="' . S . '"><ExecuteResult>' . execute($all, child($call, 'request')) . '</ExecuteResult></ExecuteResponse>';
        case 'Delete':
            [$name, $id] = [text(child($call, 'entityName')), strtolower(text(child($call, 'id')))];
            if (!isset($all[$name][$id])) throw new OrganizationFault(-2147220969, "$name With Id = $id Does Not Exist");
            unset($all[$name][$id]);
            return '<DeleteResponse xmlns="' . S . '"/>';
    }
    throw new OrganizationFault(-2147219456, 'not here');
}

final class Organization
{
    /** Stands where `serve` wants a SoapServer's object; the work is done by `handle`. */
    public static function handle(string $envelope): void
    {
        $wrap = fn($body) => '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body xmlns:a="' . A . '" xmlns:b="' . B . '" xmlns:c="http://schemas.microsoft.com/xrm/2012/Contracts" xmlns:i="' . XSI . '" xmlns:xs="http://www.w3.org/2001/XMLSchema">' . $body . '</s:Body></s:Envelope>';
        header('Content-Type: text/xml; charset=utf-8');
        try {
            $document = new DOMDocument();
            if (!@$document->loadXML($envelope)) throw new OrganizationFault(-2147220989, 'not XML');
            $body = $document->getElementsByTagNameNS('http://schemas.xmlsoap.org/soap/envelope/', 'Body')->item(0);
            $call = current(array_filter(iterator_to_array($body->childNodes), fn($node) => $node instanceof DOMElement));
            $alone = new DOMDocument();
            // With every namespace that is in scope: types name them in values.
            $alone->loadXML($call->C14N());
            libxml_use_internal_errors(true);
            $driver = '<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema">' . implode('', array_map(fn($f) => "<xsd:import namespace=\"$f[0]\" schemaLocation=\"file://" . wsdl('dynamics-onpremises/' . $f[1]) . '"/>', [[S, 'services.xsd'], [A, 'contracts-2011.xsd'], ['http://schemas.microsoft.com/xrm/2012/Contracts', 'contracts-2012.xsd']])) . '</xsd:schema>';
            if (!$alone->schemaValidateSource($driver)) throw new OrganizationFault(-2147220989, 'The formatter threw an exception: ' . trim(libxml_get_errors()[0]->message ?? ''));
            Fault_of_the_moment::told([
                'throttle' => fn() => new OrganizationFault(-2147015902, 'Number of requests exceeded the limit of 6000 over time window of 300 seconds.'),
                'expire' => fn() => new OrganizationFault(-2147204783, 'Sql error: Execution Timeout Expired.'),
                'busy' => fn() => new OrganizationFault(-2147204784, 'Generic SQL error.'),
            ]);
            echo $wrap(store(fn(array &$all) => answer($all, $call)));
        } catch (OrganizationFault $fault) {
            http_response_code(500);
            echo $wrap('<s:Fault><faultcode>s:Client</faultcode><faultstring xml:lang="en-US">' . htmlspecialchars($fault->getMessage(), ENT_XML1) . '</faultstring><detail>' . $fault->xml() . '</detail></s:Fault>');
        }
    }
}

if ($_SERVER['REQUEST_METHOD'] === 'POST' && !basic_ok()) {
    http_response_code(401);
    header('WWW-Authenticate: Negotiate');
    exit;
}
serve(wsdl('dynamics-onpremises/OrganizationService.wsdl'), new Organization());
