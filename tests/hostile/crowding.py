"""Opens connections from one address, and each again as soon as it is closed; prints a line once all have been open.

python -m tests.hostile.crowding FROM HOST PORT HOW_MANY (silent | tls)
"""

import asyncio
import ssl
import sys
from contextlib import suppress


async def crowd(source: str, host: str, port: int, count: int, context: ssl.SSLContext | None) -> None:
    opened = 0
    all_open = asyncio.Event()

    async def one() -> None:
        nonlocal opened
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(host, port, ssl=context, local_addr=(source, 0))
                opened += 1
                if opened >= count:
                    all_open.set()
                await reader.read()
                writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())
        await all_open.wait()
        print("open", flush=True)


if __name__ == "__main__":
    whence, whither, port_, how_many, kind = sys.argv[1:]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.set_alpn_protocols(["h2"])
    asyncio.run(crowd(whence, whither, int(port_), int(how_many), tls if kind == "tls" else None))
