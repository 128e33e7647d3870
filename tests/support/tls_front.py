"""Ends TLS before a server that has none: `tls_front.py PORT FOLDER BEHIND`, with cert.pem and key.pem of FOLDER."""

import asyncio
import ssl
import sys

PORT, FOLDER, BEHIND = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])


async def hand_on(reader, writer):
    try:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


async def serve(reader, writer):
    there = await asyncio.open_connection("127.0.0.1", BEHIND)
    await asyncio.gather(hand_on(reader, there[1]), hand_on(there[0], writer))


async def main():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(f"{FOLDER}/cert.pem", f"{FOLDER}/key.pem")
    await (await asyncio.start_server(serve, "127.0.0.1", PORT, ssl=tls)).serve_forever()


asyncio.run(main())
