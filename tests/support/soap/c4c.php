<?php
// SAP Cloud for Customer's services for social media activities and user profiles on PHP's SoapServer: HTTP Basic, action codes, errors in the log over HTTP 200.
declare(strict_types=1);
require __DIR__ . '/common.php';

final class C4c
{
    public function __construct(private string $node) {}

    public function MaintainBundle($p)
    {
        Fault_of_the_moment::told([
            'throttle' => fn() => new SoapFault('Server', 'Web service processing error; timeout'),
            'expire' => fn() => new SoapFault('Server', 'Web service processing error; timeout'),
            'busy' => fn() => new SoapFault('Server', 'Web service processing error; object locked'),
        ]);
        return store(function (array &$all) use ($p) {
            $written = [];
            $items = [];
            foreach ($p->{$this->node} as $record) {
                $record = (array) $record;
                [$ok, $type, $note] = $this->maintain($all, $record);
                $technical = $record['ObjectNodeSenderTechnicalID'] ?? null;
                if ($ok) $written[] = ['ReferenceObjectNodeSenderTechnicalID' => $technical, 'UUID' => md5(json_encode($record))];
                else $items[] = ['TypeID' => $type, 'CategoryCode' => 'BOE', 'SeverityCode' => '3', 'ReferenceObjectNodeSenderTechnicalID' => $technical, 'Note' => $note];
            }
            return [$this->node => $written, 'Log' => ['MaximumLogItemSeverityCode' => $items ? '3' : '1', 'Item' => $items]];
        });
    }

    /** @return array{bool, string, string} */
    private function maintain(array &$all, array $record): array
    {
        $profile = $this->node === 'SocialMediaUserProfile';
        $id = $record[$profile ? 'ID' : 'SocialMediaMessageID'] ?? null;
        $there = isset($all[$this->node][$id]);
        switch ($record['actionCode'] ?? '04') {
            case '01': if ($there) return [false, 'EXISTS', 'The object exists already']; break;
            case '02': if (!$there) return [false, 'NOT_FOUND', 'The object does not exist']; break;
            case '03': if (!$there) return [false, 'NOT_FOUND', 'The object does not exist'];
            case '05': unset($all[$this->node][$id]); return [true, '', ''];
        }
        if (bad($record['Text'] ?? null)) return [false, 'INVALID', 'The text is not allowed'];
        if (!$profile && !isset($all['SocialMediaUserProfile'][$record['SocialMediaUserProfileID']])) return [false, 'SOCIAL_MEDIA_USER_PROFILE_NOT_FOUND', 'The user profile does not exist'];
        $record['writes'] = 1 + ($all[$this->node][$id]['writes'] ?? 0);
        $all[$this->node][$id] = $record;
        return [true, '', ''];
    }
}

if ($_SERVER['REQUEST_METHOD'] === 'POST' && !basic_ok()) {
    http_response_code(401);
    header('WWW-Authenticate: Basic realm="SAP"');
    exit;
}
$profile = str_contains(operation_of(file_get_contents('php://input')), 'UserProfile');
serve(wsdl('sap-c4c/' . ($profile ? 'ManageSocialMediaUserProfileIn' : 'ManageSocialMediaActivityIn') . '.wsdl'), new C4c($profile ? 'SocialMediaUserProfile' : 'SocialMediaActivity'));
