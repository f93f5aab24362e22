"""A proxy that authenticates clients by SASL before they reach a server of Kafka: PLAIN and SCRAM (RFC 5802).

sasl.py ADDRESS TARGET USER PASSWORD

It passes requests for versions on, answers those of SASL, and closes a connection at other ones until the client has
authenticated.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import struct
import sys

API_VERSIONS, HANDSHAKE, AUTHENTICATE = 18, 17, 36
UNSUPPORTED_MECHANISM, FAILED = 33, 58
HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
ITERATIONS = 4096


def fields(message):
    return dict(part.split("=", 1) for part in message.split(","))


class Scram:
    """The server's side of one exchange."""

    def __init__(self, hash, user, password):
        self.hash, self.user, self.salt = hash, user.replace("=", "=3D").replace(",", "=2C"), os.urandom(16)
        salted = hashlib.pbkdf2_hmac(hash, password.encode(), self.salt, ITERATIONS)
        self.stored = hashlib.new(hash, self.mac(salted, b"Client Key")).digest()
        self.server = self.mac(salted, b"Server Key")
        self.first = None

    def mac(self, key, text):
        return hmac.digest(key, text, self.hash)

    def step(self, message):
        """The answer to a message, and whether the client has authenticated; `None` if it failed."""
        message = message.decode()
        if self.first is None:
            bare = message.removeprefix("n,,")
            self.nonce = fields(bare)["r"] + base64.b64encode(os.urandom(12)).decode()
            answer = f"r={self.nonce},s={base64.b64encode(self.salt).decode()},i={ITERATIONS}"
            self.first = f"{bare},{answer}"
            return (answer.encode(), False) if fields(bare)["n"] == self.user else None
        without_proof, proof = message.rsplit(",p=", 1)
        text = f"{self.first},{without_proof}".encode()
        signature = self.mac(self.stored, text)
        key = bytes(one ^ other for one, other in zip(base64.b64decode(proof), signature, strict=True))
        is_right = hmac.compare_digest(hashlib.new(self.hash, key).digest(), self.stored)
        if not is_right or fields(without_proof)["r"] != self.nonce:
            return None
        return b"v=" + base64.b64encode(self.mac(self.server, text)), True


class Plain:
    def __init__(self, user, password):
        self.expected = b"\0".join([b"", user.encode(), password.encode()])

    def step(self, message):
        return (b"", True) if message == self.expected else None


async def frame(reader):
    (length,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(length)


def send(writer, body):
    writer.write(struct.pack(">i", len(body)) + body)


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def compact(value):
    """Bytes as the flexible versions have them: the length and one, in groups of seven bits, and the bytes."""
    length = len(value) + 1
    return (bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])) + value


def answer_to(correlation, version, error, message, answer):
    if version < 2:
        body = struct.pack(">ih", correlation, error) + text(message) + struct.pack(">i", len(answer)) + answer
        return body + (struct.pack(">q", 0) if version == 1 else b"")
    # With no tagged fields after the head and the body.
    head = struct.pack(">ibh", correlation, 0, error)
    return head + compact(message.encode()) + compact(answer) + struct.pack(">qb", 0, 0)


def token(version, body):
    """What the client says, from the body of a request."""
    if version < 2:
        return body[4:]
    # After the tagged fields of the head, of which clients send none.
    long = body[1] >= 128
    length = (body[1] & 127 | body[2] << 7 if long else body[1]) - 1
    start = 3 if long else 2
    return body[start:start + length]


async def authenticate(client, writer, server, to_server, user, password):
    exchange = None
    while True:
        request = await frame(client)
        api, version, correlation, name = struct.unpack_from(">hhih", request)
        body = request[10 + max(name, 0):]
        if api == API_VERSIONS:
            send(to_server, request)
            send(writer, await frame(server))
        elif api == HANDSHAKE:
            mechanism = body[2:].decode()
            exchange = Plain(user, password) if mechanism == "PLAIN" else None
            if mechanism in HASHES:
                exchange = Scram(HASHES[mechanism], user, password)
            known = ["PLAIN", *HASHES]
            error = 0 if exchange else UNSUPPORTED_MECHANISM
            send(writer, struct.pack(">ihi", correlation, error, len(known)) + b"".join(map(text, known)))
        elif api == AUTHENTICATE and exchange:
            result = exchange.step(token(version, body))
            if result is None:
                answer, message, error = b"", "wrong user or password", FAILED
            else:
                answer, message, error = result[0], "", 0
            send(writer, answer_to(correlation, version, error, message, answer))
            await writer.drain()
            if result is None:
                return False
            if result[1]:
                return True
        else:
            return False


async def copy(reader, writer):
    while chunk := await reader.read(1 << 16):
        writer.write(chunk)
        await writer.drain()


async def connection(client, writer, target, user, password):
    writers = [writer]
    try:
        server, to_server = await asyncio.open_connection(*target)
        writers.append(to_server)
        if await authenticate(client, writer, server, to_server, user, password):
            both = [asyncio.create_task(copy(client, to_server)), asyncio.create_task(copy(server, writer))]
            _, other = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in other:
                task.cancel()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        for opened in writers:
            opened.close()


async def main(address, target, user, password):
    def parts(address):
        return address.rsplit(":", 1)

    def accepted(client, writer):
        return connection(client, writer, parts(target), user, password)

    server = await asyncio.start_server(accepted, *parts(address))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
