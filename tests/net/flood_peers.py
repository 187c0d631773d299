# SPDX-License-Identifier: Apache-2.0
"""Many real connections whose readers stall: `flood_peers.py serve ADDRESS`, `flood_peers.py read ADDRESS COUNT SECONDS`.

A reader accepts nothing for so many seconds, then reads everything; it prints its ports, a line each, when all are done.
"""
import asyncio
import socket
import sys

PORT = 9000
AMOUNT = 100_000  # bytes: more than the buffers of both ends hold
SMALL_BUFFER = 4096
TIMEOUT = 300


async def send_all(_reader, writer):
    writer.write(bytes(AMOUNT))
    await writer.drain()
    writer.close()


async def serve(address):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        listener.bind((address, PORT))
        server = await asyncio.start_server(send_all, sock=listener, backlog=4096)
        print("listening", flush=True)
        await server.serve_forever()


async def read_one(address, stall):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    connection.setblocking(False)
    await asyncio.wait_for(asyncio.get_running_loop().sock_connect(connection, (address, PORT)), TIMEOUT)
    reader, writer = await asyncio.open_connection(sock=connection, limit=1)  # stops reading after the first bytes
    port = connection.getsockname()[1]
    await asyncio.sleep(stall)
    got = 0
    while data := await asyncio.wait_for(reader.read(65536), TIMEOUT):
        got += len(data)
    writer.close()
    assert got == AMOUNT, got
    return port


async def read(address, count, stall):
    ports = await asyncio.gather(*(read_one(address, float(stall)) for _ in range(int(count))))
    print(*ports, sep="\n", flush=True)


asyncio.run({"serve": serve, "read": read}[sys.argv[1]](*sys.argv[2:]))
