"""A conversation's messages as a tree: which turns a branch shows, and which versions of a turn stand side by side."""

from collections import defaultdict
from typing import NamedTuple
from uuid import UUID

from playground.models import Conversation, Message


class Turn(NamedTuple):
    """What was appended: a question, unless an answer is only repeated, its answer to be, and the request for it."""

    conversation: Conversation
    question: Message | None
    answer: Message
    body: bytes
    # The last message of the branch that was shown before.
    head_before: UUID | None
    # What stands in the same place as each of the two, by id.
    versions: dict[UUID, list[UUID]]


class Tree:
    """Who follows whom among a conversation's messages, by id; what is deleted is not part of it."""

    def __init__(self, conversation: Conversation) -> None:
        links = Message.objects.filter(conversation=conversation).order_by("position").values_list("id", "parent_id")
        self._parents: dict[UUID, UUID | None] = dict(links)
        self._places = {message: place for place, message in enumerate(self._parents)}
        self._children: dict[UUID | None, list[UUID]] = defaultdict(list)
        for message, parent in self._parents.items():
            self._children[parent].append(message)

    def path(self, head: UUID | None) -> list[UUID]:
        """Return the branch that ends in ``head``, from its first message on; without one, in the newest message."""
        turn = head if head in self._parents else next(reversed(self._parents), None)
        path = []
        while turn is not None:
            path.append(turn)
            turn = self._parents.get(turn)
        return path[::-1]

    def all(self) -> list[UUID]:
        """Return all messages, in the order in which they were made: each one behind its parent."""
        return list(self._parents)

    def versions(self, message: UUID) -> list[UUID]:
        """Return the messages that stand in the same place, the oldest first; the message itself is one of them."""
        return self._children[self._parents[message]]

    def newest_under(self, message: UUID) -> UUID:
        """Return the newest message of those that follow ``message``, or itself: where its branch ends."""
        return max(self.under(message), key=self._places.__getitem__)

    def under(self, message: UUID) -> list[UUID]:
        """Return ``message`` and all that follow it, on every branch."""
        found, rest = [], [message]
        while rest:
            found.append(rest.pop())
            rest.extend(self._children.get(found[-1], ()))
        return found


def shown(conversation: Conversation, tree: Tree | None = None) -> list[Message]:
    """Return the messages that the conversation's author sees, in order."""
    path = (tree or Tree(conversation)).path(conversation.head_id)
    found = Message.objects.in_bulk(path)
    return [found[message] for message in path]


def before(answer: Message) -> list[Message]:
    """Return the turns that an answer was given to, in order."""
    path = Tree(answer.conversation).path(answer.pk)[:-1]
    found = Message.objects.in_bulk(path)
    return [found[message] for message in path]
