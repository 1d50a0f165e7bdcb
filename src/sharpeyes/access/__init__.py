"""Authorised views: who may see which camera, for what, until when, and the account of it all.

The story, in the order in which it happens:

1. ``people.People.log_in`` - a password (and a code), a session.
2. ``desk.Desk.submit`` - a request for cameras, users, a purpose and a time; each owner gets a part of it.
3. ``desk.Desk.approve`` - another person of the owning department (two, for some tiers) says yes; the last
   yes turns the part into a *grant*: a lease with an end.
4. ``desk.Desk.check`` - may this user see this camera now? ``tickets.TicketOffice.issue`` if so.
5. the gateway: ``tickets.TicketGate.redeem``, ``check`` once more, ``register.append(view_started)``, and
   only then the first packet. It keeps a timer for ``Allowed.until`` and listens to ``changes.Changes``; at
   either, and every second, it looks again, and what is refused stops: ``register.append(view_ended)``.
6. ``desk.Desk.revoke`` / ``narrow`` / ``extend``; ``override`` and ``review`` for emergencies.
7. ``register`` - all of it, refusals included, is there and can be proven to be whole.

Pure, time as an argument: ``decide``, ``policy``, ``schedule``, ``requests``, ``grants``, ``throttle``,
``totp``, ``sessions``, ``tickets``, ``register.tree``, ``register.note``, ``register.entry``. At the edge:
``people``, ``desk``, ``register.writer``.
"""
