#!/usr/bin/env python3
"""Verifies a Kith audit log, or a proof of single entries, alone: no Kith, no network, nothing but Python 3.9 or later.

    python3 verify.py LOG_FOLDER VERIFIER_KEY [--trusted CHECKPOINT_FILE]... [--witness-key KEY]...
    python3 verify.py PROOF_FILE VERIFIER_KEY [--witness-key KEY]...

LOG_FOLDER is state/log or a copy of it, PROOF_FILE what `kith audit prove` wrote. VERIFIER_KEY is the line in state/keys/log.pub, or
a file that holds it; get it from somewhere else than the log. Later keys that the log itself names are followed from it. --trusted
names a file with checkpoints that you kept from before: the log must still begin with the entries of each. --witness-key is the line in
a witness's witness.pub, or a file that holds it: a proof must carry its cosignature, and of a log it is told how far it reaches.

It was written from the public specifications (C2SP tlog-tiles, tlog-checkpoint, tlog-cosignature, tlog-proof, signed-note; RFC 6962,
8032, 8785) and from format.md, not from Kith's source. It prints what holds and exits 0, or names the first bad place and exits 3; 2 for
wrong use.
"""

import base64
import hashlib
import json
import os
import sys
import time

WIDTH = 256
LOG_KEY, WITNESS_KEY = 1, 4


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


def read_key(text, kind=LOG_KEY):
    """name+hash+base64(kind || key) -> (name, key hash, key)."""
    name, digits, encoded = text.strip().split("+", 2)
    key = base64.b64decode(encoded, validate=True)
    if len(key) != 33 or key[0] != kind:
        raise ValueError("not an Ed25519 key of a " + ("log" if kind == LOG_KEY else "witness"))
    if sha256(name.encode() + b"\n" + key)[:4].hex() != digits:
        raise ValueError("the key hash does not fit the name and key")
    return name, bytes.fromhex(digits), key[1:]


def key_from(given, kind=LOG_KEY):
    if os.path.exists(given):
        with open(given, encoding="utf-8") as file:
            given = file.read()
    return read_key(given, kind)


class Unsigned(Bad):
    """No signature by the key that is asked for."""


def read_note(note, where):
    """A signed note -> (text, [(signer, key hash, signature)])."""
    try:
        text, lines = note.decode().rsplit("\n\n", 1)
        if not lines.endswith("\n"):
            raise ValueError("cut off")
        signatures = []
        for line in lines.removesuffix("\n").split("\n"):
            dash, signer, encoded = line.split(" ")
            signature = base64.b64decode(encoded, validate=True)
            if base64.b64encode(signature).decode() != encoded or dash != "—" or len(signature) < 5:
                raise ValueError("a malformed signature line")
            signatures.append((signer, signature[:4], signature[4:]))
        return text + "\n", signatures
    except (ValueError, UnicodeDecodeError) as error:
        raise Bad(where, f"not a signed note: {error}") from None


def read_checkpoint(note, key, where):
    """A signed checkpoint -> (size, root)."""
    name, digits, public = key
    text, signatures = read_note(note, where)
    own = [signature for signer, hashed, signature in signatures if signer == name and hashed == digits]
    if not own:
        raise Unsigned(where, "no signature by the trusted key")
    if not all(ed25519_holds(public, text.encode(), signature) for signature in own):
        raise Bad(where, "the signature does not verify")
    try:
        origin, size, root = text.split("\n")[:3]
        if origin != name or str(int(size)) != size or len(base64.b64decode(root, validate=True)) != 32:
            raise ValueError("another log's, or malformed")
        return int(size), base64.b64decode(root)
    except ValueError as error:
        raise Bad(where, f"not a checkpoint of this log: {error}") from None


def cosigned(note, witness, where):
    """The time of a witness's cosignature in seconds since 1970, or None."""
    name, digits, public = witness
    text, signatures = read_note(note, where)
    newest = None
    for signer, hashed, signature in signatures:
        if signer == name and hashed == digits:
            seconds = int.from_bytes(signature[:8], "big")
            message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
            if len(signature) != 72 or seconds >= 2**63 or not ed25519_holds(public, message, signature[8:]):
                raise Bad(where, f"the cosignature of {name} does not verify")
            newest = max(newest or 0, seconds)
    return newest


def split_notes(data):
    """The notes of a file that holds one after the other."""
    notes, note, signed = [], b"", False
    for line in data.splitlines(keepends=True):
        signature = line.startswith("— ".encode())
        if signed and not signature:
            notes.append(note)
            note = b""
        signed = signature
        note += line
    return notes + [note] if note else notes


def next_key(entry, key):
    """The key that an entry makes the log's, or None."""
    value = json.loads(entry)
    what = value.get("what", {})
    if value.get("kind") != "key.rotated" or what.get("purpose") != "log-signing":
        return None
    try:
        after = read_key(what.get("verifier", ""))
    except ValueError:
        return None
    return after if after[0] == key[0] else None


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


def entry_at(folder, size, index, where):
    first = index - index % WIDTH
    path, entries = read_bundle(folder, index // WIDTH, min(WIDTH, size - first))
    if index >= size or index - first >= len(entries):
        raise Bad(where, f"the log has no entry {index}")
    return entries[index - first]


def rotations(folder):
    """The last checkpoints of keys that were replaced: [(entry, note)]."""
    try:
        names = os.listdir(os.path.join(folder, "rotations"))
    except FileNotFoundError:
        return []
    try:
        numbers = sorted(int(name) for name in names)
    except ValueError:
        raise Bad("rotations", "a name in it is no entry's number") from None
    return [(number, read_file(folder, f"rotations/{number}", 131072)) for number in numbers]


def follow(folder, key, log_size):
    """The given key and those after it, and the checkpoints that lead from one to the next."""
    keys, on_the_way = [key], []
    for number, note in rotations(folder):
        where = f"rotations/{number}"
        try:
            size, root = read_checkpoint(note, keys[-1], where)
        except Unsigned:
            continue  # of a time before the given key
        after = next_key(entry_at(folder, max(size, log_size), number, where), key)
        if size != number + 1 or after is None:
            raise Bad(where, "the entry that it stands for names no key of this log")
        keys.append(after)
        on_the_way.append((size, root, where))
    return keys, on_the_way


def by_any(note, keys, where):
    for key in reversed(keys):
        try:
            return read_checkpoint(note, key, where)
        except Unsigned:
            continue
    raise Unsigned(where, "no signature by the trusted key or one after it")


def verify(folder, key, trusted_notes, witnesses):
    # Before the checkpoint: beside a service that writes, a newer one may be cosigned at any moment.
    kept = os.path.join(folder, "cosigned")
    shown = [(f"cosigned/{name}", read_file(kept, name, 131072)) for name in sorted(os.listdir(kept))] if os.path.isdir(kept) else []
    try:
        note = read_file(folder, "checkpoint", 131072)
    except OSError as error:
        raise Bad("checkpoint", f"it can't be read: {error.strerror}") from None
    keys, known = [key], []
    try:
        size, root = read_checkpoint(note, key, "checkpoint")
    except Unsigned:
        # The size is only believed below; here it says which form of a bundle is there.
        try:
            log_size = int(note.split(b"\n")[1])
        except (ValueError, IndexError):
            raise Bad("checkpoint", "not a checkpoint") from None
        keys, known = follow(folder, key, log_size)
        size, root = read_checkpoint(note, keys[-1], "checkpoint")
    for where, trusted in trusted_notes:
        known.append((*by_any(trusted, keys, where), where))
    seen = {}
    for where, cosigned_note in shown:
        try:
            covered = by_any(cosigned_note, keys, where)
        except Unsigned:
            continue  # of a time before the given key
        known.append((*covered, where))
        for witness in witnesses:
            if cosigned(cosigned_note, witness, where) is not None:
                seen[witness[0]] = max(seen.get(witness[0], 0), covered[0])
    for covered, _, where in known:
        if covered > size:
            raise Bad("checkpoint", f"it covers {size} entries, and the checkpoint in {where} covers {covered}")
    tree, above = Tree(), []

    def compare_with_known():
        for covered, expected, where in known:
            if covered == tree.size and expected != tree.root():
                raise Bad(where, f"the first {tree.size} entries are not those of the checkpoint in it")

    sizes = {covered for covered, _, _ in known}

    def full_tile(level, value):
        if len(above) < level:
            above.append([])
        above[level - 1].append(value)
        if len(above[level - 1]) == WIDTH:
            index = (tree.size >> 8 * (level + 1)) - 1
            compare_tile(folder, level, index, above[level - 1])
            value, above[level - 1] = tree_hash(above[level - 1]), []
            full_tile(level + 1, value)

    compare_with_known()
    for index in range((size + WIDTH - 1) // WIDTH):
        width = min(WIDTH, size - index * WIDTH)
        path, entries = read_bundle(folder, index, width)
        leaves = [sha256(b"\x00" + entry) for entry in entries]
        compare_tile(folder, 0, index, leaves)
        for number, (entry, leaf) in enumerate(zip(entries, leaves)):
            check_entry(entry, f"{path}, entry {index * WIDTH + number}")
            tree.append(leaf)
            if tree.size in sizes:
                compare_with_known()
        if width == WIDTH:
            full_tile(1, tree_hash(leaves))
    for level, hashes in enumerate(above, 1):
        if hashes:
            compare_tile(folder, level, size >> 8 * (level + 1), hashes)
    if tree.root() != root:
        raise Bad("checkpoint", "its root is not that of the entries")
    return size, root, len(keys) - 1, seen


# --- Proofs ---------------------------------------------------------------------------------------------------------------------

HEADER = b"c2sp.org/tlog-proof@v1\n"


def root_of(leaf, index, size, path):
    """The root to which an inclusion path leads (RFC 9162 §2.1.3.2), or None."""
    if index >= size:
        return None
    fnode, snode, value = index, size - 1, leaf
    for sibling in path:
        if snode == 0:
            return None
        if fnode & 1 or fnode == snode:
            value = sha256(b"\x01" + sibling + value)
            while not fnode & 1 and fnode:
                fnode, snode = fnode >> 1, snode >> 1
        else:
            value = sha256(b"\x01" + value + sibling)
        fnode, snode = fnode >> 1, snode >> 1
    return value if snode == 0 else None


def strict_base64(text):
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data) != text:
        raise ValueError("not canonical base64")
    return data


def verify_proof(data, keys, witnesses, where):
    try:
        head, note = data.split(b"\n\n", 1)
        lines = head.split(b"\n")
        if lines[0] + b"\n" != HEADER or not lines[1].startswith(b"extra ") or not lines[2].startswith(b"index "):
            raise ValueError("not of the form that Kith writes")
        entry, index = strict_base64(lines[1][6:]), int(lines[2][6:])
        path = [strict_base64(line) for line in lines[3:]]
        if str(index).encode() != lines[2][6:] or index < 0 or len(path) > 64 or any(len(value) != 32 for value in path):
            raise ValueError("a malformed index or path")
    except (ValueError, IndexError) as error:
        raise Bad(where, f"not a proof: {error}") from None
    size, root = by_any(note, keys, where)
    if root_of(sha256(b"\x00" + entry), index, size, path) != root:
        raise Bad(where, f"entry {index} is not in the tree that the checkpoint signs")
    check_entry(entry, f"{where}, entry {index}")
    times = {}
    for witness in witnesses:
        seconds = cosigned(note, witness, where)
        if seconds is None:
            raise Bad(where, f"the witness {witness[0]} did not cosign the checkpoint")
        times[witness[0]] = seconds
    return index, entry, size, times


def verify_proofs(data, key, witnesses):
    parts = data.split(b"\n" + HEADER)
    proofs = [parts[0] + (b"\n" if len(parts) > 1 else b"")]
    proofs += [HEADER + part + (b"\n" if number < len(parts) - 1 else b"") for number, part in enumerate(parts[1:], 1)]
    keys = [key]
    for number, proof in enumerate(proofs, 1):
        index, entry, size, times = verify_proof(proof, keys, witnesses, f"proof {number}")
        after = next_key(entry, key)
        if after:
            keys.append(after)
        value = json.loads(entry)
        by = "".join(f", cosigned by {name} at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(at))}" for name, at in times.items())
        print(f"entry {index}: {value['kind']} at {value['time']}, in a log of {size} entries{by}")
    return len(proofs)


def main(arguments):
    named = {"--trusted": [], "--witness-key": []}
    while len(arguments) > 2 and arguments[-2] in named:
        value, name = arguments.pop(), arguments.pop()
        named[name].insert(0, value)
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    place, key = arguments
    try:
        key = key_from(key)
        witnesses = [key_from(given, WITNESS_KEY) for given in named["--witness-key"]]
        trusted = []
        for path in named["--trusted"]:
            with open(path, "rb") as file:
                notes = split_notes(file.read(64 << 20))
            if not notes:
                raise ValueError(f"no checkpoint in {path}")
            for note in notes:
                read_note(note, path)
            trusted += [(path, note) for note in notes]
        proof = None
        if not os.path.isdir(place):
            with open(place, "rb") as file:
                proof = file.read(64 << 20)
    except (ValueError, OSError) as error:
        print(f"a key, checkpoint or proof can't be used: {error}", file=sys.stderr)
        return 2
    except Bad as bad:
        print(": ".join(bad.args), file=sys.stderr)
        return 2
    try:
        if proof is not None:
            count = verify_proofs(proof, key, witnesses)
            print(f"holds: {count} proofs from {key[0]}")
            if not witnesses:
                print("(not against someone who has the signing key: ask for a witness's cosignature, --witness-key)")
            return 0
        size, root, changes, seen = verify(place, key, trusted, witnesses)
    except Bad as bad:
        print("BAD " + ": ".join(bad.args))
        return 3
    print(f"holds: {size} entries of {key[0]}, root {base64.b64encode(root).decode()}")
    if changes:
        print(f"its signing key changed {changes} times since the given one, each time signed by the one before")
    for name, covered in seen.items():
        print(f"its first {covered} entries are cosigned by {name}")
    if not trusted and not seen:
        print("(not against someone who has the signing key: compare with a checkpoint that left the machine, --trusted)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
