"""A proxy in front of a server of Kafka that answers for single partitions as Apache Kafka does when it cannot read them.

faulty.py LISTEN TARGET FOLDER. The file `error` in the folder has the code of all partitions in responses to Fetch; `empty`
means that they have no messages. The file `low` has the offset of the oldest message, of all partitions.
"""

import asyncio
import pathlib
import struct
import sys

LISTEN, TARGET, FOLDER = sys.argv[1:]
FETCH, LIST_OFFSETS, API_VERSIONS, OFFSET_FOR_LEADER_EPOCH = 1, 2, 18, 23
# The newest versions that this proxy can read.
NEWEST = {FETCH: 11, LIST_OFFSETS: 5}


def setting(name):
    try:
        return (pathlib.Path(FOLDER) / name).read_text().strip()
    except FileNotFoundError:
        return ""


class Reader:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, layout):
        values = struct.unpack_from(">" + layout, self.data, self.at)
        self.at += struct.calcsize(">" + layout)
        return values if len(values) > 1 else values[0]

    def skip(self, length):
        self.at += length

    def text(self):
        length = max(self.take("h"), 0)
        self.skip(length)
        return self.data[self.at - length : self.at].decode()


def header(data):
    reader = Reader(data)
    key, version, number = reader.take("hhi")
    reader.text()
    return key, version, number, reader


def asked_offsets(reader, version):
    """The offset of each partition in a request of Fetch."""
    reader.take("iiiibii")
    offsets = {}
    for _ in range(reader.take("i")):
        topic = reader.text()
        for _ in range(reader.take("i")):
            partition = reader.take("i")
            if version >= 9:
                reader.take("i")
            offsets[topic, partition], _, _ = reader.take("qqi")
    return offsets


def asked_times(reader, version):
    """The time of each partition in a request of ListOffsets."""
    reader.take("ib")
    times = {}
    for _ in range(reader.take("i")):
        topic = reader.text()
        for _ in range(reader.take("i")):
            partition = reader.take("i")
            if version >= 4:
                reader.take("i")
            times[topic, partition] = reader.take("q")
    return times


def fetched(data, version, offsets):
    """The response of Fetch with the errors of the files."""
    reader = Reader(data)
    reader.take("iihi")
    error, low = setting("error"), int(setting("low") or 0)
    topics = reader.take("i")
    out = bytearray(data[: reader.at])
    for _ in range(topics):
        begin = reader.at
        topic = reader.text()
        partitions = reader.take("i")
        out += data[begin : reader.at]
        for _ in range(partitions):
            begin = reader.at
            partition, code, high, stable, start = reader.take("ihqqq")
            reader.skip(16 * max(reader.take("i"), 0))
            if version >= 11:
                reader.take("i")
            fixed = reader.at
            reader.skip(max(reader.take("i"), 0))
            offset = offsets.get((topic, partition), 0)
            replica = struct.pack(">i", -1) if version >= 11 else b""
            if code == 0 and error == "empty":
                out += data[begin:fixed] + struct.pack(">i", 0)
                continue
            if code == 0:
                code = int(error or 0)
            if code == 0 and not low <= offset <= high:
                code = 1
            if code == 0:
                out += data[begin : reader.at]
            else:
                out += struct.pack(">ihqqqi", partition, code, -1, -1, -1, 0) + replica + struct.pack(">i", 0)
    return bytes(out) + data[reader.at :]


def listed(data, version, times):
    """The response of ListOffsets with the oldest message of the file."""
    low = int(setting("low") or 0)
    out, reader = bytearray(data), Reader(data)
    reader.take("i")
    if version >= 2:
        reader.take("i")
    for _ in range(reader.take("i")):
        topic = reader.text()
        for _ in range(reader.take("i")):
            partition, _, _ = reader.take("ihq")
            if times.get((topic, partition)) == -2:
                struct.pack_into(">q", out, reader.at, max(low, reader.take("q")))
            else:
                reader.take("q")
            if version >= 4:
                reader.take("i")
    return bytes(out)


def versions(data, version):
    """The response of ApiVersions without the versions that this proxy cannot read."""
    out = bytearray(data)
    at, step = (7, 7) if version >= 3 else (10, 6)
    while at + 6 <= len(out):
        key, oldest, newest = struct.unpack_from(">hhh", out, at)
        if key in NEWEST:
            struct.pack_into(">h", out, at + 4, max(oldest, min(newest, NEWEST[key])))
        at += step
    return bytes(out)


async def client(reader, writer):
    host, port = TARGET.rsplit(":", 1)
    try:
        server_reader, server_writer = await asyncio.open_connection(host, int(port))
    except OSError:
        writer.close()
        return
    asked = {}

    async def requests():
        while True:
            length = await reader.readexactly(4)
            data = await reader.readexactly(struct.unpack(">i", length)[0])
            key, version, number, rest = header(data)
            about = None
            if key == FETCH:
                about = asked_offsets(rest, version)
            elif key == LIST_OFFSETS:
                about = asked_times(rest, version)
            asked[number] = key, version, about
            server_writer.write(length + data)
            await server_writer.drain()

    async def responses():
        while True:
            length = struct.unpack(">i", await server_reader.readexactly(4))[0]
            data = await server_reader.readexactly(length)
            key, version, about = asked.pop(struct.unpack_from(">i", data)[0])
            if key == API_VERSIONS:
                data = versions(data, version)
            elif key == FETCH:
                data = fetched(data, version, about)
            elif key == LIST_OFFSETS:
                data = listed(data, version, about)
            writer.write(struct.pack(">i", len(data)) + data)
            await writer.drain()

    both = [asyncio.ensure_future(requests()), asyncio.ensure_future(responses())]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in both:
            one.cancel()
        writer.close()
        server_writer.close()


async def main():
    host, port = LISTEN.rsplit(":", 1)
    server = await asyncio.start_server(client, host, int(port))
    await server.serve_forever()


asyncio.run(main())
