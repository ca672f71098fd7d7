"""Board: the state of a run. What must run, what is there already, and who waits for whom; it grows as nodes ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graph.cache import Cache, Entry
from graph.effects import Effects
from graph.fingerprint import Fingerprinter
from graph.jobs import JobOutput
from graph.loops import find_bodies, outside
from graph.model import Plan, Task
from graph.work import LATER, Later, Work


class Board:
    """All works of a run. Not safe for several threads by itself: the run has a lock."""

    def __init__(
        self, plan: Plan, cache: Cache, printer: Fingerprinter, effects: Effects | None, ended: Mapping[str, JobOutput]
    ) -> None:
        self.works = [Work(index, task) for index, task in enumerate(plan.tasks)]
        self.by_id = {work.task.id: work for work in self.works}
        self.cached: list[Work] = []  # need not run: remembered, or an equal one gives their outputs
        self.may_ask = False  # some work that was wanted has lazy inputs
        self.ui: dict[str, Mapping[str, Sequence[Any]]] = {}  # by node id
        self._cache = cache
        self._printer = printer
        self._effects = effects
        self._ended = ended
        self._first: dict[str, Work] = {}  # by fingerprint
        self.begin(self.works)

    def add(self, tasks: Sequence[Task], parent: Work, display_ids: Sequence[str], depth: int) -> list[Work]:
        """Works that another one made, each after those that it takes values from; wires go by place on the board."""
        added = [Work(len(self.works) + number, task) for number, task in enumerate(tasks)]
        for work, display_id in zip(added, display_ids, strict=True):
            work.display_id = display_id
            work.parent, work.depth = parent, depth
            self.by_id[work.task.id] = work
        self.works += added
        parent.made = parent.made or []
        parent.made += added
        return added

    def begin(self, works: Sequence[Work]) -> None:
        """Take the fingerprints of works in the order in which they take values from each other."""
        find_bodies(works, self.works)
        for work in works:
            self.take_fingerprint(work)

    def take_fingerprint(self, work: Work) -> None:
        """Find the work's key, as far as it can be known now, and the first work with an equal one."""
        try:
            work.key = self._fingerprint(work)
        except Exception as error:  # the node's own code
            work.error = error
        if type(work.key) is str and not work.task.schema.effect and not work.always:
            work.leader = self._first.setdefault(work.key, work)

    def _fingerprint(self, work: Work) -> str | Later | None:
        task, works = work.task, self.works
        if not work.lazy:
            keys = [key for _, index, _ in task.wires if (key := works[index].key) is not LATER]
            return self._printer.of(task, keys) if len(keys) == len(task.wires) else LATER
        while True:  # what it asked for the last time may depend on what it was given then
            keys = [
                key
                for name, index, _ in task.wires
                if (key := works[index].key if self.counts(work, name) else "") is not LATER
            ]
            if len(keys) < len(task.wires):
                return LATER
            key = self._printer.of(task, keys, work.asked)
            entry = self._cache.get(key) if key is not None else None
            if entry is None or not entry.asks:
                return key if entry is not None or key is None else LATER
            if work.asked.issuperset(entry.asks):
                return LATER
            work.asked = work.asked.union(entry.asks)

    def settle(self, work: Work) -> str | None:
        """The fingerprint of a work whose sources are done, all that it asked for among them."""
        return self._settled(work) if work.key is LATER else work.key

    def _settled(self, work: Work) -> str | None:
        task = work.task
        keys: list[str | None] = []
        for name, index, _ in task.wires:
            key = self.works[index].key if self.counts(work, name) else ""
            keys.append(None if key is LATER else key)
        return self._printer.of(task, keys, work.asked if work.lazy else None)

    def ask(self, work: Work, names: Iterable[str]) -> str | None:
        """The work asks for lazy inputs. Gives the fingerprint under which that can be remembered."""
        key = self._settled(work)
        work.asked = work.asked.union(names)
        work.key = LATER
        return key

    @staticmethod
    def counts(work: Work, name: str) -> bool:
        """Whether an input's source must be there before the work runs."""
        return name in work.asked or name not in work.lazy

    # -- what must run

    def want(self, wanted: Iterable[Work]) -> list[Work]:
        """What must run besides, for these to have outputs: works that were not wanted before, linked to their sources.

        Looks at nothing behind a remembered result.
        """
        fresh: list[Work] = []
        stack = list(wanted)
        while stack:
            work = stack.pop()
            if self._is_gone(work.leader) and work.leader is not work:
                key = work.leader.key
                assert isinstance(key, str)  # it was shared by it
                self._first[key] = work.leader = work
                work.wanted = False
            if work.wanted:
                if work.done and work.outputs is None and not work.task.schema.effect:
                    self._revive(work)
                else:
                    continue
            work.wanted = True
            if work.leader is not work:
                self.cached.append(work)
                stack.append(work.leader)
                continue
            if self._remembered(work):
                self.cached.append(work)
                if work.hides_effects:  # what a loop saves before it is saved all the same
                    stack += [each for each in self._counted(work) if each.hides_effects]
                continue
            fresh.append(work)
            stack += self._counted(work)
        for work in fresh:
            if work.task.schema.ends_loop and work.root is None:
                self.hold(work, outside(work, self.works))
            self.link(work, [name for name, _, _ in work.task.wires if self.counts(work, name)])
            if work.lazy:
                self.may_ask = True
                self.hold(work, [self.works[index] for name, index, _ in work.task.wires if name in work.lazy])
        return fresh

    def behind(self, works: Iterable[Work]) -> list[Work]:
        """What remembered works were made from: it need not run either, and nobody has looked whether it is there."""
        found: dict[int, Work] = {}
        stack = list(works)
        while stack:
            for each in self._counted(stack.pop()):
                if not each.wanted and each.index not in found:
                    found[each.index] = each
                    stack.append(each)
        return list(found.values())

    def _counted(self, work: Work) -> list[Work]:
        """The sources that must be there before the work runs."""
        return [self.works[index] for name, index, _ in work.task.wires if not work.lazy or self.counts(work, name)]

    @staticmethod
    def _is_gone(work: Work) -> bool:
        """Whether it will give nothing, or has given what nobody seemed to need any more."""
        return work.dropped or (work.done and work.outputs is None)

    def _revive(self, work: Work) -> None:
        """Its outputs were let go of when nobody seemed to need them any more: it has to give them again."""
        made, work.made, work.iterations = list(work.made), [], 0
        while made:  # it will make them again, under the same ids
            each = made.pop()
            made += each.made
            if self.by_id.get(each.task.id) is each:
                del self.by_id[each.task.id]
        work.done = work.started = work.queued = False
        work.sources, work.takers, work.results = {}, [], []
        work.lane = ""

    def _remembered(self, work: Work) -> bool:
        """Take the outputs of an earlier run, or what an output node showed then, if it is as if it had run now."""
        task = work.task
        if task.schema.effect:
            output = self._ended.get(task.id)
            if output is None and self._effects is not None and isinstance(work.key, str):
                output = self._effects.unchanged(work.key)
            if output is None:
                return False
            self.finish(work, (), output.ui)
            return True
        entry = self._cache.get(work.key) if isinstance(work.key, str) and not work.always else None
        if entry is None or entry.asks:
            return False
        self.finish(work, entry.outputs, entry.ui)
        return True

    def finish(self, work: Work, outputs: tuple[Any, ...], ui: Mapping[str, Sequence[Any]]) -> None:
        """The work has its outputs."""
        work.done = True
        work.outputs = outputs
        if ui:
            self.ui[work.task.id] = ui

    def remember(self, key: str, entry: Entry, task: Task) -> None:
        """Keep a result, or a request for lazy inputs, for other runs."""
        self._cache.put(key, entry, keep_on_disk=not task.schema.foreign)

    def recall(self, key: str) -> Entry | None:
        """What another run may have finished since this one began."""
        entry = self._cache.get(key)
        return entry if entry is not None and not entry.asks else None

    def forget_upstream(self, work: Work) -> None:
        """What this work was given is not what it was: nothing that it came from may be reused."""
        seen: set[Work] = set()
        stack = [work]
        while stack:
            for _, index, _ in stack.pop().task.wires:
                source = self.works[index].leader
                if source not in seen:
                    seen.add(source)
                    stack.append(source)
                    if isinstance(source.key, str):
                        self._cache.drop(source.key)

    # -- who waits for whom

    def link(self, work: Work, names: Iterable[str]) -> None:
        """The work uses the sources of these inputs, and waits for those that are not done."""
        wanted = set(names)
        if wanted:
            self.use(work, (self.works[index] for name, index, _ in work.task.wires if name in wanted))

    def use(self, work: Work, sources: Iterable[Work]) -> None:
        """The work uses these, and waits for those that are not done. It cannot run if one of them was dropped."""
        for each in sources:
            source = each.leader
            if source in work.sources:
                continue
            work.sources[source] = None
            source.uses += 1
            if not source.done:
                source.takers.append(work)
                work.waiting += 1

    def hold(self, work: Work, sources: Iterable[Work]) -> None:
        """The work may come to need these: their outputs are kept until it is done."""
        held = [source.leader for source in sources]
        for source in held:
            source.held += 1
        work.holds = (*work.holds, *held)

    def release(self, work: Work) -> list[Work]:
        """The work uses its sources no more. Gives those that nobody else needs and that are not done."""
        needless = [source for source in work.sources if self._unused(source)]
        work.sources = {}
        return needless

    def release_holds(self, work: Work) -> None:
        """The work will not come to need anything any more."""
        for source in work.holds:
            source.held -= 1
            if not source.uses and not source.held:
                source.outputs = None
        work.holds = ()

    @staticmethod
    def _unused(source: Work) -> bool:
        source.uses -= 1
        if source.uses or source.held:
            return False
        source.outputs = None
        return not source.done
