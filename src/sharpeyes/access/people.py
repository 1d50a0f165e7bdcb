"""Accounts and log-ins: the edge where passwords, codes, sessions and the throttle meet the store."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection

from sharpeyes.access import entries, requests, sessions, totp
from sharpeyes.access.changes import Changed, Changes
from sharpeyes.access.passwords import check_strength, hash_password, matches, outdated
from sharpeyes.access.register.entry import Detail, Entry
from sharpeyes.access.register.writer import Register
from sharpeyes.access.requests import MOST_UNDECIDED
from sharpeyes.access.sessions import SessionPolicy
from sharpeyes.access.throttle import Throttle, WaitError
from sharpeyes.domain.access import OneHandError, Request, Role, Session, Subject
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    UnauthenticatedError,
    UnavailableError,
)
from sharpeyes.domain.time import DAY_MS, Ms
from sharpeyes.net.oidc import Identity
from sharpeyes.store.access_schema import user, user_session
from sharpeyes.store.database import Database
from sharpeyes.store.events import Event, record
from sharpeyes.store.grants import list_requests, put_request
from sharpeyes.store.kept import Kept
from sharpeyes.store.people import (
    Account,
    add_session,
    add_user,
    any_past_session,
    change_user,
    count_users,
    end_sessions,
    find_account,
    find_identity,
    find_session,
    get_account,
    get_subject,
    in_one_hand,
    keyholders,
    lapse_sessions,
    list_sessions,
    list_subjects,
    logged_in_from,
    purge_sessions,
    spend_totp,
    totp_context,
    touch_session,
)
from sharpeyes.store.tokens import revoke_tokens_of
from sharpeyes.store.vault import Vault

KNOWN_MS = 90 * DAY_MS
"""An address from which somebody logged in within this time is one of theirs."""

HASHING = 2
"""Passwords hashed at a time: 19 MiB and a core each."""
MOST_WAITING = 64
"""Log-ins that wait for a hash; beyond them, come again."""


class CodeNeededError(UnauthenticatedError):
    """The password is right, and the account wants a code of its authenticator app as well."""

    kind = "code_needed"


class NoAccountError(UnauthenticatedError):
    """A provider vouches for somebody who has no account here, or a disabled one."""

    kind = "no_account"


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who it is, and the token that says so from now on."""

    subject: Subject
    session: Session
    token: Secret


class People:
    """Accounts of one site."""

    def __init__(
        self,
        database: Database,
        register: Register,
        vault: Vault,
        changes: Changes,
        clock: Callable[[], Ms],
        policy: SessionPolicy | None = None,
    ) -> None:
        self._database = database
        self._register = register
        self._vault = vault
        self._changes = changes
        self._clock = clock
        self._policy = policy or SessionPolicy()
        self._throttle = Throttle()
        self._known: Kept[bytes, tuple[Subject, Session]] = Kept()
        self._hashing = asyncio.Semaphore(HASHING)
        self._waiting = 0

    # --- logging in -----------------------------------------------------------------------------------

    async def log_in(
        self, username: str, password: Secret, code: str | None = None, *, address: str, client: str
    ) -> LoggedIn:
        """A session for whoever knows the password (and the code, if the account wants one).

        Raises WaitError, CodeNeededError, or UnauthenticatedError with one message for every other reason.
        Each attempt that is checked goes into the register; one that must wait was not checked, and those
        that brought the wait about are there.
        """
        now = self._clock()
        account, known = await self._database.aquick(lambda c: self._find(c, username, address, now))
        if wait := self._throttle.begin(username[:200], address, now, known=known):
            raise WaitError(wait)
        right = await self._matches(account, password)
        outcome, step = "wrong", None
        if account and right:
            outcome, step = self._check_code(account, code, now)
            if not account.subject.enabled:
                outcome = "disabled"
        if account is None or outcome != "ok":
            subject = account.subject if account else None
            await self._register.append(entries.login(now, subject, outcome, address))
            if outcome == "code_missing":
                raise CodeNeededError("a code of the authenticator app is needed")
            raise UnauthenticatedError("the name, the password or the code is wrong")
        session, token, token_hash = sessions.begin(
            account.subject.id, now, self._policy, address=address, client=client
        )
        fresh = await self._hash(password) if outdated(account.password or "") else None

        def change(connection: Connection) -> tuple[list[Entry], Subject]:
            latest = get_account(connection, account.subject.id)
            if not latest.subject.enabled or latest.password != account.password:
                raise UnauthenticatedError("the account was changed meanwhile", mend="Log in again")
            if step is not None and not spend_totp(connection, latest.subject.id, step):
                raise UnauthenticatedError("the code was used already", mend="Wait for the next one")
            if fresh is not None:
                change_user(connection, latest.subject.id, now, password=fresh)
            said = self._begin(connection, latest.subject, session, token_hash)
            return said, latest.subject

        subject = await self._register.record(change)
        self._changes.tell(Changed(users=frozenset({subject.id})))
        self._throttle.succeeded(username[:200], address, known=known)
        return LoggedIn(subject, session, token)

    async def log_in_as(self, identity: Identity, *, address: str, client: str) -> LoggedIn:
        """A session for whoever a provider says it is.

        The first time, the provider's user name finds the account, and the account keeps the identity from
        then on. Only an account without a password can be found so: it was made for single sign-on, and
        nobody takes over another's by choosing a name at the provider. NoAccountError for everybody else; the
        register has each attempt.
        """
        now = self._clock()

        def change(connection: Connection) -> tuple[list[Entry], LoggedIn | Subject | None]:
            account = find_identity(connection, identity.issuer, identity.subject)
            first = account is None
            if account is None:
                account = find_account(connection, identity.username) if plain(identity.username) else None
                if account is not None and (account.password is not None or account.identified):
                    account = None
            if account is None or not account.subject.enabled:
                subject = account.subject if account else None
                outcome = "disabled" if account else "unknown"
                return [entries.login(now, subject, outcome, address, by="oidc")], subject
            if first:
                change_user(
                    connection,
                    account.subject.id,
                    now,
                    issuer=identity.issuer,
                    issuer_subject=identity.subject,
                )
            session, token, token_hash = sessions.begin(
                account.subject.id, now, self._policy, address=address, client=client
            )
            said = self._begin(connection, account.subject, session, token_hash, by="oidc")
            return said, LoggedIn(account.subject, session, token)

        answer = await self._register.record(change)
        if not isinstance(answer, LoggedIn):
            raise NoAccountError(
                "there is no account here for this identity, or it is disabled",
                mend="Ask an administrator to make an account without a password under your user name there",
            )
        self._changes.tell(Changed(users=frozenset({answer.subject.id})))
        return answer

    async def authenticate(self, token: str) -> tuple[Subject, Session]:
        """Who holds this session token; UnauthenticatedError if it opens nothing (any more)."""
        now = self._clock()
        token_hash = sessions.token_hash(token)

        def find(connection: Connection) -> tuple[Subject, Session] | None:
            session = find_session(connection, token_hash)
            return (get_subject(connection, session.user), session) if session else None

        # Mostly it is one that was found before: a request that waits for no thread is answered at once.
        stamp = self._database.stamp(user, user_session)
        found = self._known.get(token_hash, stamp) or await self._database.aquick(find)
        if found is None or not sessions.live(found[1], now, self._policy) or not found[0].enabled:
            await self.lapse_sessions()
            raise UnauthenticatedError("the session is over", mend="Log in again")
        if sessions.stale(found[1], now):
            await self._database.awrite(partial(touch_session, session_id=found[1].id, now=now), quiet=True)
            found = found[0], replace(found[1], seen=now)
        self._known.put(token_hash, stamp, found)
        return found

    async def holds(self, session: Session) -> bool:
        """Whether a session that was authenticated before is alive still. Asking is not using it."""
        now = self._clock()

        def look(connection: Connection) -> bool:
            mine = (one for one in list_sessions(connection, session.user) if one.id == session.id)
            return any(sessions.live(one, now, self._policy) for one in mine) and (
                get_subject(connection, session.user).enabled
            )

        return await self._database.aquick(look)

    async def sessions_of(self, user_id: str) -> list[Session]:
        """A user's sessions that are alive, newest first."""
        now = self._clock()
        rows = await self._database.aread(lambda c: list_sessions(c, user_id))
        return [session for session in rows if sessions.live(session, now, self._policy)]

    async def end_sessions(
        self, by: Subject, user_id: str, *, only: str | None = None, but: str | None = None
    ) -> int:
        """End sessions of one's own, or, as administrator, of anybody: one, all, or all but one. The
        pictures that run for this user are judged again."""
        if by.id != user_id and not by.has(Role.ADMIN):
            raise ForbiddenError("only administrators end the sessions of others")
        now = self._clock()

        def change(connection: Connection) -> tuple[list[Entry], int]:
            ended = end_sessions(connection, user_id, now, only=only, but=but)
            said = [entries.login(now, by, "ended", "", session=name, of=user_id) for name in ended]
            return said, len(ended)

        count = await self._register.record(change)
        self._changes.tell(Changed(users=frozenset({user_id})))
        return count

    async def lapse_sessions(self) -> int:
        """Keep it that sessions have run out, so that a clock put back revives none. To be called every few
        seconds, and where one is refused."""
        now, idle_ms = self._clock(), self._policy.idle_ms
        if not await self._database.aquick(lambda c: any_past_session(c, now, idle_ms)):
            return 0
        return await self._database.awrite(lambda c: lapse_sessions(c, now, idle_ms))

    async def purge(self) -> int:
        """Forget sessions that ran out long ago. To be called once a day."""
        before = Ms(self._clock() - KNOWN_MS)
        return await self._database.awrite(lambda c: purge_sessions(c, before))

    # --- accounts -------------------------------------------------------------------------------------

    async def add(
        self,
        by: Subject | None,
        *,
        username: str,
        name: str,
        department: str,
        roles: Iterable[Role],
        password: Secret | None,
    ) -> Subject:
        """A new account. ``by`` None is the command line of the machine, which makes the first one."""
        self._check_admin(by)
        username = username.strip()
        if not 1 <= len(username) <= 100 or not plain(username):
            raise InvalidInputError(
                "username: 1 to 100 Latin letters, Chinese characters, digits and . _ - @ +",
                mend="Others look like these, and one person would pass for another",
            )
        name = _named(name)
        encoded = None
        if password is not None:
            check_strength(password, username=username)
            encoded = await self._hash(password)
        subject = Subject(
            id=f"u-{secrets.token_hex(6)}", name=name, department=department, roles=_checked(roles)
        )
        now = self._clock()

        def change(connection: Connection) -> tuple[list[Entry], Subject]:
            keyed_by = by.id if by is not None and encoded is not None else None
            add_user(connection, subject, username, encoded, now, keyed_by=keyed_by)
            roles: Detail = sorted(subject.roles)
            said = {"roles": roles, "username": username, "department": department}
            _tell(connection, now, by, subject.id, "user_added", said)
            return [entries.user_changed(now, by, subject.id, "user_added", **said)], subject

        return await self._register.record(change)

    async def set_name(self, by: Subject | None, user_id: str, name: str) -> None:
        """Another name to be shown, by an administrator or by oneself; nobody takes a colleague's for
        themselves. The name to log in with stays what it is for good: the register means one person by it."""
        own = by is not None and by.id == user_id
        if not own:
            self._check_admin(by)
        wanted, now = _named(name), self._clock()

        def change(connection: Connection) -> tuple[list[Entry], None]:
            before = get_account(connection, user_id).subject.name
            others = (one for one in list_subjects(connection) if one.id != user_id)
            if own and any(_alike(one.name) == _alike(wanted) for one in others):
                raise ConflictError(
                    "name: somebody else here is called so", mend="Where two are, an administrator says so"
                )
            change_user(connection, user_id, now, name=wanted)
            return [entries.user_changed(now, by, user_id, "name", before=before, after=wanted)], None

        await self._register.record(change)
        self._changes.tell(Changed(users=frozenset({user_id})))

    async def set_roles(self, by: Subject | None, user_id: str, roles: Iterable[Role]) -> None:
        """Other roles. Nobody changes their own: an administrator who wants to watch must ask another. Who is
        no administrator any more has no tokens any more."""
        self._check_admin(by)
        self._check_other(by, user_id)
        wanted = _checked(roles)
        details: Detail = sorted(wanted)
        disarm = Role.ADMIN not in wanted
        await self._change(by, user_id, "roles", {"roles": wanted}, disarm=disarm, roles=details)

    async def set_department(self, by: Subject | None, user_id: str, department: str) -> None:
        """Another department: what was granted to the old one opens nothing any more."""
        self._check_admin(by)
        self._check_other(by, user_id)
        await self._change(
            by, user_id, "department", {"department": department}, end=True, department=department
        )

    async def set_enabled(self, by: Subject | None, user_id: str, enabled: bool) -> None:
        """Disable an account: its sessions and tokens end, its pictures stop, what it asked for and nobody
        decided is withdrawn, and its yes to what is undecided counts no more. Or enable it again: none of
        that comes back."""
        self._check_admin(by)
        self._check_other(by, user_id)
        now = self._clock()
        if enabled:
            await self._change(by, user_id, "enabled", {"disabled_ms": None})
        else:
            await self._change(
                by, user_id, "disabled", {"disabled_ms": now}, end=True, disarm=True, close=True
            )

    async def set_password(
        self, by: Subject | None, user_id: str, password: Secret, *, old: Secret | None = None
    ) -> None:
        """A new password, by an administrator, or by oneself with the old one: a session left open is not
        enough. Every session of the user ends."""
        account = await self._database.aread(lambda c: get_account(c, user_id))
        if by is None or by.id != user_id:
            self._check_admin(by)
        elif old is None or not await self._matches(account, old):
            raise ForbiddenError("the old password is wrong")
        check_strength(password, username=account.username)
        encoded = await self._hash(password)
        values: dict[str, object] = {"password": encoded}
        if by is None or by.id != user_id:  # by its user it stays: whoever was given it could have changed it
            values["keyed_by"] = by.id if by is not None else None
        await self._change(by, user_id, "password", values, end=True)

    async def confirm(self, by: Subject | None, user_id: str) -> None:
        """Say that an account is that of a person of their own, and no second one of whoever gave it its
        password: from now on it is another's. By an administrator who is none of these, or the host."""
        self._check_admin(by)
        self._check_other(by, user_id)
        now = self._clock()

        def change(connection: Connection) -> tuple[list[Entry], None]:
            account = get_account(connection, user_id)
            if account.keyed_by is None:
                raise ConflictError("this account needs no confirmation")
            held = keyholders(connection, user_id)
            if by is not None and (by.id in held or in_one_hand(connection, by.id, held)):
                raise OneHandError("nobody confirms an account of their own")
            change_user(connection, user_id, now, keyed_by=None)
            said: dict[str, Detail] = {"made_by": account.keyed_by}
            _tell(connection, now, by, user_id, "confirmed", said)
            return [entries.user_changed(now, by, user_id, "confirmed", **said)], None

        await self._register.record(change)

    async def confirm_totp(self, by: Subject, secret: Secret, code: str) -> None:
        """Want codes of this secret (from :func:`sharpeyes.access.totp.new_secret`) from now on, once one
        shows that the app has it. Until then nothing of it is stored. An app that is wanted already is not
        replaced: a session left open would be enough to take the account."""
        account = await self._database.aread(lambda c: get_account(c, by.id))
        if account.totp is not None:
            raise ConflictError(
                "this account has an authenticator app already", mend="An administrator removes it first"
            )
        step = totp.accept(secret, code, self._clock(), 0) if totp.well_formed(secret) else None
        if step is None:
            raise InvalidInputError("code: is not of this secret now", mend="Check the clock of the phone")
        sealed = self._vault.seal(secret.reveal(), totp_context(by.id))
        await self._change(by, by.id, "totp", {"totp": sealed, "totp_step": step})

    async def remove_totp(self, by: Subject | None, user_id: str) -> None:
        """Want no codes any more of somebody else, whose phone is lost: an administrator's act."""
        self._check_admin(by)
        if by is not None and by.id == user_id:
            raise ForbiddenError(
                "nobody removes their own authenticator app without a code of it",
                mend="Ask another administrator, or send password and code to /api/v1/session/totp/removal",
            )
        await self._change(by, user_id, "totp_removed", {"totp": None}, end=True)

    async def remove_own_totp(self, by: Subject, password: Secret, code: str) -> None:
        """Want no codes any more, with the password and a code that was not used yet: a session left open is
        not enough. Every session of the user ends."""
        account = await self._database.aread(lambda c: get_account(c, by.id))
        if account.totp is None:
            raise ConflictError("this account has no authenticator app")
        outcome, step = self._check_code(account, code, self._clock())
        if not await self._matches(account, password) or outcome != "ok" or step is None:
            raise ForbiddenError("the password or the code is wrong")
        await self._change(by, by.id, "totp_removed", {"totp": None, "totp_step": step}, end=True)

    async def any(self) -> bool:
        """Whether there are accounts at all."""
        return bool(await self._database.aread(count_users))

    # --- within ---------------------------------------------------------------------------------------

    def _begin(
        self, connection: Connection, subject: Subject, session: Session, token_hash: bytes, **details: Detail
    ) -> list[Entry]:
        """Store a session that begins; the oldest one ends for which there is no room. Gives what
        to register."""
        now = session.created
        others = [
            one for one in list_sessions(connection, subject.id) if sessions.live(one, now, self._policy)
        ]
        add_session(connection, session, token_hash)
        said = [entries.login(now, subject, "ok", session.address, session=session.id, **details)]
        for one in others[sessions.MOST_SESSIONS - 1 :]:
            end_sessions(connection, subject.id, now, only=one.id)
            said.append(
                entries.login(now, subject, "ended", "", session=one.id, of=subject.id, why="too_many")
            )
        return said

    def _find(
        self, connection: Connection, username: str, address: str, now: Ms
    ) -> tuple[Account | None, bool]:
        account = find_account(connection, username) if len(username) <= 200 else None
        since = Ms(now - KNOWN_MS)
        known = account is not None and logged_in_from(connection, account.subject.id, [address], since)
        return account, known

    def _check_code(self, account: Account, code: str | None, now: Ms) -> tuple[str, int | None]:
        if account.totp is None:
            return "ok", None
        if not code:
            return "code_missing", None
        secret = Secret(self._vault.open(account.totp, totp_context(account.subject.id)))
        step = totp.accept(secret, code, now, account.totp_step)
        return ("ok", step) if step is not None else ("code_wrong", None)

    async def _matches(self, account: Account | None, password: Secret) -> bool:
        encoded = account.password if account else None
        async with self._turn():
            return await asyncio.to_thread(matches, encoded, password)

    async def _hash(self, password: Secret) -> str:
        async with self._turn():
            return await asyncio.to_thread(hash_password, password)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """A place among the few that hash, or UnavailableError if too many wait already."""
        if self._waiting >= MOST_WAITING:
            raise UnavailableError("too many log-ins at once", mend="Try again in a few seconds")
        self._waiting += 1
        try:
            async with self._hashing:
                yield
        finally:
            self._waiting -= 1

    async def _change(
        self,
        by: Subject | None,
        user_id: str,
        what: str,
        values: Mapping[str, object],
        *,
        end: bool = False,
        disarm: bool = False,
        close: bool = False,
        **details: Detail,
    ) -> None:
        """``end``: its sessions; ``disarm``: its tokens; ``close``: what it asked for and nobody decided."""
        now = self._clock()

        def change(connection: Connection) -> tuple[list[Entry], None]:
            said = dict(details)
            closed: list[Request] = []
            change_user(connection, user_id, now, **values)
            if end:
                end_sessions(connection, user_id, now)
            if disarm and (tokens := revoke_tokens_of(connection, user_id, now=now)):
                said["tokens"] = tokens
            if close:
                waiting = list_requests(connection, applicant=user_id, undecided=True, limit=MOST_UNDECIDED)
                closed = [requests.close(request) for request in waiting]
            for request in closed:
                put_request(connection, request)
            if by is None or by.id != user_id:
                _tell(connection, now, by, user_id, what, said)
            return [
                entries.user_changed(now, by, user_id, what, **said),
                *(entries.requested(now, by, request, "withdrawn") for request in closed),
            ], None

        await self._register.record(change)
        self._changes.tell(Changed(users=frozenset({user_id})))

    @staticmethod
    def _check_admin(by: Subject | None) -> None:
        if by is not None and not (by.enabled and by.has(Role.ADMIN)):
            raise ForbiddenError("only administrators manage accounts")

    @staticmethod
    def _check_other(by: Subject | None, user_id: str) -> None:
        if by is not None and by.id == user_id:
            raise ForbiddenError("nobody changes their own rights", mend="Ask another administrator")


def _tell(
    connection: Connection,
    at: Ms,
    by: Subject | None,
    user_id: str,
    change: str,
    details: Mapping[str, Detail],
) -> None:
    """A line of the journal, which the other administrators and the auditors read."""
    name = get_account(connection, user_id).username
    who = by.name if by is not None else entries.HOST
    detail = {"change": change, "of": name, "by": by.id if by is not None else entries.HOST, **details}
    told = (
        f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in details.items()
    )
    message = f"account {name}: {change} by {who}" + (f" ({'; '.join(told)})" if details else "")
    record(connection, [Event(at=at, kind="account", subject=user_id, message=message, detail=detail)])


def plain(username: str) -> bool:
    """Whether a user name is made of characters that pass for no others: ASCII letters, these with accents,
    digits, a few signs, and Chinese characters. No Cyrillic a, Kelvin sign, ligature or full-width form."""
    return all(
        (character.isascii() and (character.isalnum() or character in "._-@+"))
        or unicodedata.name(character, "").startswith("CJK UNIFIED IDEOGRAPH")
        or _accented(character)
        for character in username
    )


def _accented(character: str) -> bool:
    base, *marks = tuple(unicodedata.normalize("NFD", character))
    return base.isascii() and base.isalpha() and bool(marks) and all(map(unicodedata.combining, marks))


def _named(name: str) -> str:
    if not 1 <= len(name.strip()) <= 100 or not name.strip().isprintable():
        raise InvalidInputError("name: 1 to 100 printable characters")
    return name.strip()


def _alike(name: str) -> str:
    """What two names have in common that are read as one."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _checked(roles: Iterable[Role]) -> frozenset[Role]:
    wanted = frozenset(roles)
    if Role.AUDITOR in wanted and len(wanted) > 1:
        raise InvalidInputError("roles: an auditor has no other role", mend="Make an account for each")
    return wanted
