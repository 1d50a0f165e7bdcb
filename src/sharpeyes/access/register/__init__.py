"""The register: what was asked, decided, seen and refused, in a form that cannot be altered unseen.

entry.py     what is written, and its canonical bytes
tree.py      Merkle tree of RFC 6962: roots and proofs, pure
chain.py     hash chain beside the tree
note.py      signed checkpoints (C2SP)
writer.py    Register: the one writer, many entries to a commit
verify.py    reads everything back and names the row where something is wrong
proof.py     inclusion, consistency, and exports that a third party can check offline
figures.py   monthly transparency figures, without persons
figures_public.py  the same for everybody: coarse, of months that are over
"""
