<?php
// Two of Siebel's inbound Web services on PHP's SoapServer: the Social Media Service (?service=social) and the Service Request of the application service
// interfaces. WS-Security's UsernameToken, faults with Siebel's detail.
declare(strict_types=1);
require __DIR__ . '/common.php';

final class Siebel
{
    private bool $in = false;

    private static function fault(string $code, string $text, string $side = 'Server'): SoapFault
    {
        return new SoapFault($side, "$text($code)", null, detail("<f:siebdetail xmlns:f=\"http://www.siebel.com/ws/fault\"><f:logfilename>OMServer.log</f:logfilename><f:errorstack><f:error>"
            . "<f:errorcode>$code</f:errorcode><f:errorsymbol/><f:errormsg>$text($code)</f:errormsg></f:error></f:errorstack></f:siebdetail>"));
    }

    public function Security($security)
    {
        if (!wsse_ok($security)) throw self::fault('SBL-UIF-00272', 'The user ID or password that you entered is incorrect.');
        $this->in = true;
    }

    private function allowed(): void
    {
        if (!$this->in) throw self::fault('SBL-DAT-00225', 'An error has occurred logging in.');
        Fault_of_the_moment::told([
            'throttle' => fn() => self::fault('SBL-SVR-00026', 'Unable to allocate shared memory'),
            'expire' => fn() => self::fault('SBL-SMI-00126', 'Maximum number of tasks reached'),
            'busy' => fn() => self::fault('SBL-DAT-00542', 'The selected record has been modified by another user since it was retrieved.'),
        ]);
    }

    private static function row(): string { return strtoupper(sprintf('1-%s', base_convert((string) random_int(100000, 9999999), 10, 36))); }

    public function CreateServiceRequest($p)
    {
        $this->allowed();
        $request = (array) $p->ListOfSocialSrIo->ServiceRequest[0];
        if (bad($request['Abstract'])) throw self::fault('SBL-DAT-00498', "'BOOM' is not a valid value of the field 'Abstract'.");
        return store(function (array &$all) use ($p, $request) {
            $id = self::row();
            $all['service_requests'][$id] = $request + ['post' => (array) ($p->ListOfMktgSocialDataIO->SocialData[0] ?? [])];
            return ['SRId' => $id, 'SRNumber' => $id];
        });
    }

    public function CreateLeads($p)
    {
        $this->allowed();
        return store(function (array &$all) use ($p) {
            $id = self::row();
            $all['leads'][$id] = (array) $p->ListofLeadIO->Lead[0] + ['post' => (array) ($p->ListOfMktgSocialDataIO->SocialData[0] ?? [])];
            return ['LeadId' => $id];
        });
    }

    public function SiebelServiceRequestInsertOrUpdate($p)
    {
        $this->allowed();
        $request = (array) $p->ListOfSiebelServiceRequest->ServiceRequest[0];
        if (bad($request['Abstract'] ?? null)) throw self::fault('SBL-DAT-00498', "'BOOM' is not a valid value of the field 'Abstract'.");
        if (($request['PrimaryOrganizationId'] ?? '') === '') throw self::fault('SBL-EAI-04397', 'No user key can be used for the Integration Component instance');
        return store(function (array &$all) use ($request) {
            $number = $request['SRNumber'];
            $there = $all['service_requests'][$number] ?? ['Id' => self::row(), 'writes' => 0];
            $all['service_requests'][$number] = ['writes' => $there['writes'] + 1] + $request + $there;
            return ['PrimaryRowId' => $there['Id'], 'ListOfSiebelServiceRequest' => ['ServiceRequest' => [['Id' => $there['Id'], 'SRNumber' => $number, 'operation' => 'upsert']]]];
        });
    }

    public function SiebelServiceRequestQueryByExample($p)
    {
        $this->allowed();
        $wanted = $p->ListOfSiebelServiceRequest->ServiceRequest[0]->SRNumber;
        $row = store(fn(array &$all) => $all['service_requests'][$wanted] ?? null);
        return ['ListOfSiebelServiceRequest' => ['ServiceRequest' => $row === null ? [] : [array_diff_key($row, ['writes' => 0])]]];
    }
}

$social = str_contains(operation_of(file_get_contents('php://input')), 'Create');
serve(wsdl($social ? 'siebel-social-media/SocialMediaService.wsdl' : 'siebel-service-request/SiebelServiceRequest.wsdl'), new Siebel());
