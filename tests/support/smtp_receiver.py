"""A mail server, aiosmtpd: takes mails and writes them as lines of JSON.

smtp_receiver.py PORT FILE CERTIFICATE KEY [CODE...]: STARTTLS with this certificate and a login (user `kith`, password `open sesame`) are required;
the first mails are answered with these codes ("drop" closes the connection after the mail came), all others with 250.
"""
import json
import ssl
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

port, out, certificate, key = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
answers = sys.argv[5:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


class Handler:
    async def handle_DATA(self, server, session, envelope):
        with open(out, "a") as file:
            mail = envelope.content.decode()
            file.write(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None, "mail": mail}) + "\n")
        answer = answers.pop(0) if answers else "250"
        if answer == "drop":
            server.transport.abort()
            return "250 never seen"
        return f"{answer} said the server to Ada"


def login(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (b"kith", b"open sesame")
    # Of a login that is not taken the server itself tells (535).
    return AuthResult(success=good, handled=good)


controller = Controller(
    Handler(), hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True, authenticator=login, auth_required=True
)
controller.start()
while True:
    time.sleep(1)
