#!/usr/bin/env python3
"""Verifies a Kith audit log alone: no Kith, no network, nothing but Python 3.9 or later.

    python3 verify.py LOG_FOLDER VERIFIER_KEY [--trusted CHECKPOINT_FILE]

LOG_FOLDER is state/log or a copy of it. VERIFIER_KEY is the line in state/keys/log.pub, or a file that holds it; get it from
somewhere else than the log. --trusted names a checkpoint that you kept from before: the log must still begin with its entries.

It was written from the public specifications (C2SP tlog-tiles, tlog-checkpoint, signed-note; RFC 6962, 8032, 8785) and from
format.md, not from Kith's source. It prints what holds and exits 0, or names the first bad place and exits 3; 2 for wrong use.
"""

import base64
import hashlib
import json
import os
import sys

WIDTH = 256


class Bad(Exception):
    """The log does not hold: where, and what is wrong there."""


def sha256(data):
    return hashlib.sha256(data).digest()


# --- Ed25519 (RFC 8032 §5.1.7), verification only -------------------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def point(encoded):
    """Decodes a point to extended coordinates, or None."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - x2) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(n, p):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = add(result, p)
        p = add(p, p)
        n >>= 1
    return result


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_holds(public, message, signature):
    a, r, s = point(public), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or a is None or r is None or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    left, right = multiply(s, BASE), add(r, multiply(k, a))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


# --- Signed notes and checkpoints -----------------------------------------------------------------------------------------------


def read_key(text):
    """name+hash+base64(0x01 || key) -> (name, key hash, key)."""
    name, digits, encoded = text.strip().split("+", 2)
    key = base64.b64decode(encoded, validate=True)
    if len(key) != 33 or key[0] != 1:
        raise ValueError("not an Ed25519 verifier key")
    if sha256(name.encode() + b"\n" + key)[:4].hex() != digits:
        raise ValueError("the key hash does not fit the name and key")
    return name, bytes.fromhex(digits), key[1:]


def read_checkpoint(note, key, where):
    """A signed checkpoint -> (size, root)."""
    name, digits, public = key
    try:
        text, lines = note.decode().rsplit("\n\n", 1)
        signed = 0
        for line in lines.removesuffix("\n").split("\n"):
            dash, signer, encoded = line.split(" ")
            signature = base64.b64decode(encoded, validate=True)
            if dash != "—" or len(signature) < 5:
                raise Bad(where, "a malformed signature line")
            if signer == name and signature[:4] == digits:
                if not ed25519_holds(public, (text + "\n").encode(), signature[4:]):
                    raise Bad(where, "the signature does not verify")
                signed += 1
        if not signed or not lines.endswith("\n"):
            raise Bad(where, "no signature by the trusted key")
        origin, size, root = text.split("\n")[:3]
        if origin != name or str(int(size)) != size or len(base64.b64decode(root, validate=True)) != 32:
            raise Bad(where, "not a checkpoint of this log")
        return int(size), base64.b64decode(root)
    except (ValueError, UnicodeDecodeError) as error:
        raise Bad(where, f"not a signed checkpoint: {error}") from None


# --- Canonical JSON (RFC 8785) --------------------------------------------------------------------------------------------------

ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def number_text(value):
    """ECMAScript Number::toString."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("a number that JSON can't carry")
    if value == 0:
        return "0"
    sign, text = ("-", repr(-value)) if value < 0 else ("", repr(value))
    mantissa, _, exponent = text.partition("e")
    whole, _, part = mantissa.partition(".")
    digits = (whole + part).lstrip("0")
    n = len(whole) + int(exponent or 0) - (len(whole + part) - len(digits))
    digits = digits.rstrip("0")
    k = len(digits)
    if k <= n <= 21:
        return sign + digits + "0" * (n - k)
    if 0 < n <= 21:
        return sign + digits[:n] + "." + digits[n:]
    if -6 < n <= 0:
        return sign + "0." + "0" * -n + digits
    return sign + digits[0] + ("." + digits[1:] if k > 1 else "") + ("e+" if n > 0 else "e-") + str(abs(n - 1))


def string_text(value):
    return '"' + "".join(ESCAPES.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in value) + '"'


class Members(list):
    """The members of an object as read: order and repeats kept."""


def canonical_text(value):
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, str):
        return string_text(value)
    if isinstance(value, Members):
        keys = [key.encode("utf-16-be") for key, _ in value]
        if sorted(set(keys)) != keys:
            raise ValueError("a member is out of order or twice")
        return "{" + ",".join(string_text(k) + ":" + canonical_text(v) for k, v in value) + "}"
    return "[" + ",".join(map(canonical_text, value)) + "]"


def check_entry(entry, where):
    try:
        text = entry.decode("utf-8")
        value = json.loads(text, object_pairs_hook=Members, parse_int=float)
        if not isinstance(value, Members) or canonical_text(value) != text:
            raise ValueError("not canonical JSON")
        members = dict(value)
        if members.get("v") != 1.0:
            raise ValueError("not an entry of version 1")
        for name in ("actor", "kind", "time", "what"):
            if name not in members:
                raise ValueError(f"`{name}` is missing")
    except (ValueError, RecursionError) as error:
        raise Bad(where, f"not an entry: {error}") from None


# --- Tiles ----------------------------------------------------------------------------------------------------------------------


def tile_path(level, index, width):
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03}")
    return f"tile/{level}/" + "/".join(groups) + (f".p/{width}" if width < WIDTH else "")


def read_file(folder, path, limit):
    with open(os.path.join(folder, path), "rb") as file:
        return file.read(limit + 1)


def read_tile(folder, level, index, width):
    """A tile or bundle; the beginning of the full one where a partial one was replaced since."""
    limit = 32 * WIDTH if level != "entries" else WIDTH * (2 + 65535)
    path = tile_path(level, index, width)
    for candidate in (path, tile_path(level, index, WIDTH)):
        try:
            data = read_file(folder, candidate, limit)
            return candidate, data, candidate != path
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Bad(candidate, f"it can't be read: {error.strerror}") from None
    raise Bad(path, "it is missing")


def read_bundle(folder, index, width):
    path, data, longer = read_tile(folder, "entries", index, width)
    entries, at = [], 0
    for number in range(width):
        length = int.from_bytes(data[at : at + 2], "big")
        entry = data[at + 2 : at + 2 + length]
        if len(data) < at + 2 or len(entry) != length:
            raise Bad(f"{path}, entry {index * WIDTH + number}", "the bundle is cut off")
        entries.append(entry)
        at += 2 + length
    if at != len(data) and not longer:
        raise Bad(path, "something follows the last entry")
    return path, entries


def compare_tile(folder, level, index, hashes):
    path, data, longer = read_tile(folder, level, index, len(hashes))
    if longer:
        data = data[: 32 * len(hashes)]
    if len(data) != 32 * len(hashes):
        raise Bad(path, "it has the wrong length")
    for number, value in enumerate(hashes):
        if data[32 * number : 32 * number + 32] != value:
            first = (index * WIDTH + number) * WIDTH**level
            raise Bad(f"{path}, entry {first}", "the hash is not that of what lies below")


def tree_hash(hashes):
    """The Merkle tree hash of RFC 6962 §2.1 over leaves, or over perfect subtrees of one height."""
    if not hashes:
        return sha256(b"")
    while len(hashes) > 1:
        pairs = [sha256(b"\x01" + hashes[i] + hashes[i + 1]) for i in range(0, len(hashes) - 1, 2)]
        hashes = pairs + hashes[len(pairs) * 2 :]
    return hashes[0]


class Tree:
    """The right edge of a tree: what is needed to append leaves and to know the root."""

    def __init__(self):
        self.size, self.roots = 0, []

    def append(self, leaf):
        node, size = leaf, self.size
        while size & 1:
            node, size = sha256(b"\x01" + self.roots.pop() + node), size >> 1
        self.roots.append(node)
        self.size += 1

    def root(self):
        if not self.roots:
            return sha256(b"")
        node = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            node = sha256(b"\x01" + left + node)
        return node


# --- The log --------------------------------------------------------------------------------------------------------------------


def verify(folder, key, trusted):
    try:
        note = read_file(folder, "checkpoint", 131072)
    except OSError as error:
        raise Bad("checkpoint", f"it can't be read: {error.strerror}") from None
    size, root = read_checkpoint(note, key, "checkpoint")
    if trusted and trusted[0] > size:
        raise Bad("checkpoint", f"it covers {size} entries, and the trusted checkpoint covers {trusted[0]}")
    tree, above = Tree(), []

    def compare_with_trusted():
        if trusted and trusted[0] == tree.size and trusted[1] != tree.root():
            raise Bad("checkpoint", f"the first {tree.size} entries are not those of the trusted checkpoint")

    def full_tile(level, value):
        if len(above) < level:
            above.append([])
        above[level - 1].append(value)
        if len(above[level - 1]) == WIDTH:
            index = (tree.size >> 8 * (level + 1)) - 1
            compare_tile(folder, level, index, above[level - 1])
            value, above[level - 1] = tree_hash(above[level - 1]), []
            full_tile(level + 1, value)

    compare_with_trusted()
    for index in range((size + WIDTH - 1) // WIDTH):
        width = min(WIDTH, size - index * WIDTH)
        path, entries = read_bundle(folder, index, width)
        leaves = [sha256(b"\x00" + entry) for entry in entries]
        compare_tile(folder, 0, index, leaves)
        for number, (entry, leaf) in enumerate(zip(entries, leaves)):
            check_entry(entry, f"{path}, entry {index * WIDTH + number}")
            tree.append(leaf)
            compare_with_trusted()
        if width == WIDTH:
            full_tile(1, tree_hash(leaves))
    for level, hashes in enumerate(above, 1):
        if hashes:
            compare_tile(folder, level, size >> 8 * (level + 1), hashes)
    if tree.root() != root:
        raise Bad("checkpoint", "its root is not that of the entries")
    return size, root


def main(arguments):
    trusted_file = None
    if len(arguments) == 4 and arguments[2] == "--trusted":
        trusted_file = arguments.pop()
        arguments.pop()
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder, key = arguments
    try:
        if os.path.exists(key):
            with open(key, encoding="utf-8") as file:
                key = file.read()
        key = read_key(key)
        trusted = None
        if trusted_file:
            with open(trusted_file, "rb") as file:
                trusted = read_checkpoint(file.read(131072), key, trusted_file)
    except (ValueError, OSError) as error:
        print(f"the verifier key or trusted checkpoint can't be used: {error}", file=sys.stderr)
        return 2
    except Bad as bad:
        print(": ".join(bad.args), file=sys.stderr)
        return 2
    try:
        size, root = verify(folder, key, trusted)
    except Bad as bad:
        print("BAD " + ": ".join(bad.args))
        return 3
    print(f"holds: {size} entries of {key[0]}, root {base64.b64encode(root).decode()}")
    if not trusted:
        print("(not against someone who has the signing key: compare with a checkpoint that left the machine, --trusted)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
