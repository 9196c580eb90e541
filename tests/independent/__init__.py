"""A second implementation of the protocol, which is run against the reference program.

It is written from docs/protocol.md and docs/vectors/*.json alone: no line of it was taken from the Rust code, or from
reading it, and none may be. That is its use. Where both ends of a conversation are of one origin, an error that both
make is seen by nobody; and what the specification forgets to say, this client does not know. A change here follows a
change of the specification.

It goes without: stores and restored copies (11), policies (22), gRPC (15), founding a group (22).

    errors, clock      what is wrong with what comes; times
    encoding           section 1
    primitives         section 2
    identifiers        section 3
    keys               section 4
    manifests, bundles, prekeys
                       section 5
    headers            section 6
    envelopes          section 7
    contents, payloads section 8
    handshakes         section 9
    ratchet            section 10
    sessions           sections 10 and 11
    receipts           section 12
    outbox, inbox      section 13
    tokens, delegations
                       section 14
    relay              section 15
    limits             section 17
    rules              what a reader refuses of sections 1 to 8, 12, 14 and 22; what is kept by 10 and 11
    vectors            section 21
    bodies, schemes, groups
                       section 22
    client             one identity, which has all of these
    reference, steps   the reference program, and what is done with it
    checks             what is expected of either

`scripts/independent` runs it; see `__main__`.
"""
