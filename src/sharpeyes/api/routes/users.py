"""Accounts, for administrators; colleagues, for whoever names them in a request."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from sharpeyes.access.visible import may_read_person
from sharpeyes.api import auth
from sharpeyes.api.auth import PeopleManager, Person
from sharpeyes.api.context import Context, Rooms
from sharpeyes.api.people_shapes import NewPassword, NewUser, PersonShape, UserChange, UserShape
from sharpeyes.domain.credentials import Secret
from sharpeyes.store.people import get_account, list_accounts, list_subjects

router = APIRouter(prefix="/api/v1", tags=["users"])

UserId = Annotated[str, Path(max_length=64)]


@router.get("/people")
async def people(rooms: Rooms, caller: Person) -> tuple[PersonShape, ...]:
    """Colleagues of one's own department, to be named in requests; for approvers also those who may ask
    them; everybody for administrators and auditors."""
    found = await rooms.database.aread(list_subjects)
    return tuple(PersonShape.of(subject) for subject in found if may_read_person(caller.person, subject))


@router.get("/users")
async def users(rooms: Rooms, caller: PeopleManager) -> tuple[UserShape, ...]:  # noqa: ARG001
    """All accounts, disabled ones included."""
    return tuple(UserShape.of(account) for account in await rooms.database.aread(list_accounts))


@router.post("/users", status_code=HTTPStatus.CREATED)
async def add(rooms: Rooms, caller: PeopleManager, form: NewUser) -> UserShape:
    """Make an account. An auditor has no other role. Goes into the register."""
    made = await rooms.access.people.add(
        caller.person,
        username=form.username,
        name=form.name,
        department=form.department,
        roles=form.roles,
        password=None if form.password is None else Secret(form.password.get_secret_value()),
    )
    return await _user(rooms, made.id)


@router.get("/users/{user_id}")
async def one(rooms: Rooms, caller: PeopleManager, user_id: UserId) -> UserShape:  # noqa: ARG001
    """One account."""
    return await _user(rooms, user_id)


@router.patch("/users/{user_id}")
async def change(rooms: Rooms, caller: PeopleManager, user_id: UserId, form: UserChange) -> UserShape:
    """Disable an account or enable it, give it other roles or another department; never one's own. Or correct
    its name; the one to log in with is never changed, since the register means one person by it for good.

    Of a disabled account every session and token ends at once, every picture stops, and what it asked for is
    withdrawn; who is no administrator any more loses their tokens. The other administrators read it in the
    journal.
    """
    people = rooms.access.people
    async with auth.refusals(rooms, caller, "user", user_id):
        if form.name is not None:
            await people.set_name(caller.person, user_id, form.name)
        if form.enabled is not None:
            await people.set_enabled(caller.person, user_id, form.enabled)
        if form.roles is not None:
            await people.set_roles(caller.person, user_id, form.roles)
        if form.department is not None:
            await people.set_department(caller.person, user_id, form.department)
    return await _user(rooms, user_id)


@router.put("/users/{user_id}/password", status_code=HTTPStatus.NO_CONTENT)
async def reset_password(rooms: Rooms, caller: PeopleManager, user_id: UserId, form: NewPassword) -> None:
    """Set somebody's password. Every session of the account ends."""
    async with auth.refusals(rooms, caller, "password", user_id):
        await rooms.access.people.set_password(
            caller.person, user_id, Secret(form.password.get_secret_value())
        )


@router.post("/users/{user_id}/confirm", status_code=HTTPStatus.NO_CONTENT)
async def confirm(rooms: Rooms, caller: PeopleManager, user_id: UserId) -> None:
    """Say that an account is another person's than whoever gave it its password (`keyed_by`). Until then it
    decides on nothing of theirs, nor they on its (403 `one_hand`). An administrator whose password they do
    not know says it."""
    async with auth.refusals(rooms, caller, "confirm", user_id):
        await rooms.access.people.confirm(caller.person, user_id)


@router.delete("/users/{user_id}/totp", status_code=HTTPStatus.NO_CONTENT)
async def remove_totp(rooms: Rooms, caller: PeopleManager, user_id: UserId) -> None:
    """Want no codes of somebody else's account any more: its phone is lost. Every session of it ends."""
    async with auth.refusals(rooms, caller, "totp", user_id):
        await rooms.access.people.remove_totp(caller.person, user_id)


@router.delete("/users/{user_id}/sessions", status_code=HTTPStatus.NO_CONTENT)
async def end_sessions(rooms: Rooms, caller: PeopleManager, user_id: UserId) -> None:
    """End every session of an account."""
    await _user(rooms, user_id)
    await rooms.access.people.end_sessions(caller.person, user_id)


async def _user(rooms: Context, user_id: str) -> UserShape:
    return UserShape.of(await rooms.database.aread(lambda connection: get_account(connection, user_id)))
