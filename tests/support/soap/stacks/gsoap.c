/* gSOAP: strict C, both versions of SOAP at any path. Its code is made by wsdl2h and soapcpp2 from stack.wsdl. One request at a time. */
#include "soapH.h"
#include "CrmSoap11.nsmap"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct contact { char *key, *id, *version, *last, *first; struct contact *next; };
static struct contact *all;
static int count;
static char session[32];
static int sessions;

static char *copy(const char *text) { return text ? strdup(text) : NULL; }

static int fault(struct soap *s, int ours, const char *text, const char *code, const char *retry)
{
  char detail[256];
  snprintf(detail, sizeof detail, "<n:CrmFault xmlns:n=\"urn:example:stack:v1\"><n:Code>%s</n:Code><n:Retryable>%s</n:Retryable></n:CrmFault>", code, retry);
  return ours ? soap_receiver_fault(s, text, soap_strdup(s, detail)) : soap_sender_fault(s, text, soap_strdup(s, detail));
}

static int entered(struct soap *s)
{
  struct _ns1__Session *shown = s->header ? s->header->ns1__Session : NULL;
  if (!shown || !shown->Id) return fault(s, 0, "No session header", "NO_SESSION", "false");
  if (!session[0] || strcmp(shown->Id, session)) return fault(s, 0, "Session expired", "SESSION_EXPIRED", "true");
  return SOAP_OK;
}

int __ns1__Login(struct soap *s, struct _ns1__Login *in, struct _ns1__LoginResponse *out)
{
  if (strcmp(in->User, "svc") || strcmp(in->Password, "s3cret&<>")) return fault(s, 0, "Invalid login", "INVALID_LOGIN", "false");
  snprintf(session, sizeof session, "SID-%d", ++sessions);
  out->LoginResult = soap_strdup(s, session);
  s->header = NULL;
  return SOAP_OK;
}

int __ns1__UpsertContact(struct soap *s, struct _ns1__UpsertContact *in, struct _ns1__UpsertContactResponse *out)
{
  struct contact *one;
  if (entered(s)) return s->error;
  if (!strcmp(in->Contact->LastName, "DEADLOCK")) return fault(s, 1, "Deadlock", "DEADLOCK", "true");
  if (!strcmp(in->Contact->LastName, "BAD")) return fault(s, 0, "The name is bad", "BAD_NAME", "false");
  if (!strcmp(in->Contact->LastName, "CRASH")) return soap_receiver_fault(s, "Null pointer in Crm.upsert", NULL);
  for (one = all; one && strcmp(one->key, in->ExternalId); one = one->next) ;
  out->Created = one ? xsd__boolean__false_ : xsd__boolean__true_;
  if (!one) {
    char id[16];
    snprintf(id, sizeof id, "C%05d", ++count);
    one = calloc(1, sizeof *one);
    one->key = copy(in->ExternalId);
    one->id = copy(id);
    one->next = all;
    all = one;
  }
  one->version = copy(in->Contact->Version);
  one->last = copy(in->Contact->LastName);
  one->first = copy(in->Contact->FirstName);
  out->Id = soap_strdup(s, one->id);
  s->header = NULL;
  return SOAP_OK;
}

int __ns1__FindContacts(struct soap *s, struct _ns1__FindContacts *in, struct _ns1__FindContactsResponse *out)
{
  struct contact *one;
  int at = 0, found = 0;
  if (entered(s)) return s->error;
  out->Contact = soap_malloc(s, (count + 1) * sizeof *out->Contact);
  for (one = all; one; one = one->next) {
    if (*in->Query && strcmp(in->Query, one->key)) continue;
    if (at++ < in->Offset || found >= in->Limit) continue;
    struct ns1__Contact *shown = &out->Contact[found++];
    memset(shown, 0, sizeof *shown);
    shown->Id = one->id;
    shown->ExternalId = one->key;
    shown->Version = one->version;
    shown->LastName = one->last;
    shown->FirstName = one->first;
  }
  out->__sizeContact = found;
  out->Total = at;
  s->header = NULL;
  return SOAP_OK;
}

int __ns1__Login_(struct soap *s, struct _ns1__Login *in, struct _ns1__LoginResponse *out) { return __ns1__Login(s, in, out); }
int __ns1__UpsertContact_(struct soap *s, struct _ns1__UpsertContact *in, struct _ns1__UpsertContactResponse *out) { return __ns1__UpsertContact(s, in, out); }
int __ns1__FindContacts_(struct soap *s, struct _ns1__FindContacts *in, struct _ns1__FindContactsResponse *out) { return __ns1__FindContacts(s, in, out); }

static int knocked(struct soap *s)
{
  soap_response(s, SOAP_HTML);
  soap_send(s, "<p>gSOAP</p>");
  return soap_end_send(s);
}

int main(int n, char **arguments)
{
  struct soap s;
  soap_init1(&s, SOAP_C_UTFSTRING | SOAP_XML_STRICT);
  s.fget = knocked;
  s.bind_flags = SO_REUSEADDR;
  s.recv_timeout = s.send_timeout = 10;
  signal(SIGPIPE, SIG_IGN);
  if (n < 2 || !soap_valid_socket(soap_bind(&s, "127.0.0.1", atoi(arguments[1]), 50))) return 1;
  for (;;) {
    if (!soap_valid_socket(soap_accept(&s))) return 1;
    soap_serve(&s);
    soap_destroy(&s);
    soap_end(&s);
  }
}
