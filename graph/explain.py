"""Plan to Explanations: before it runs, why each node will run or not; afterwards, why each one did."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from graph.board import Board
from graph.cache import Tier
from graph.engine import Engine
from graph.explanation import Change, Explanation, Reason
from graph.fingerprint import Fingerprinter
from graph.model import Plan
from graph.node import Node
from graph.notes import Note, Notes, changes, note
from graph.problems import some
from graph.result import Result
from graph.work import LATER, Work


def explain(plan: Plan, engine: Engine, notes: Notes | None = None, *, keep: Collection[str] = ()) -> list[Explanation]:
    """For every node of the plan, in its order, why the engine would run it now, or why not.

    Takes fingerprints and looks into the cache as a run does, so that it may have to read large files: not for an event
    loop. `notes` know what nodes were when they last ran. `keep` as for Engine.run().
    """
    return _Inquiry(plan, engine, notes or Notes(), keep).explanations()


def conclude(explanations: Sequence[Explanation], result: Result) -> tuple[Explanation, ...]:
    """The explanations of before a run, as they are after it: what was open is decided, and what failed is said."""
    failed = {failure.node_id: failure for failure in result.failures}
    return tuple(_concluded(each, result, failed.get(each.node_id)) for each in explanations)


def _concluded(before: Explanation, result: Result, failure: object) -> Explanation:
    ran = before.node_id in result.seconds

    def after(runs: bool, reason: Reason, sentence: str) -> Explanation:
        return dataclasses.replace(before, runs=runs, reason=reason, sentence=sentence)

    if failure is not None:
        return after(True, "failed", f"ran and failed; it {before.sentence}")
    if before.reason == "lazy":
        if ran:
            return after(True, "asked", "ran, since it was asked for")
        return after(False, "not asked", "did not run, since nobody asked for it")
    if before.runs and not ran:
        if before.node_id in result.cached:
            return after(False, "memory", "did not run: another run gave its result meanwhile")
        return after(False, "failed", "did not run: what it needs failed, or nobody needed it any more")
    return before


class _Inquiry:
    def __init__(self, plan: Plan, engine: Engine, notes: Notes, keep: Collection[str]) -> None:
        self._printer = Fingerprinter(plan.graph, engine.paths, code=engine.code, environment=engine.environment)
        self._notes = notes
        self._board = Board(plan, engine.cache, self._printer, engine.effects, {})
        # Asked before the board fetches results, since what comes from disk is in memory then.
        self._tiers: dict[str, Tier | None] = {
            work.key: engine.cache.where(work.key) for work in self._board.works if isinstance(work.key, str)
        }
        self._board.want(self._board.by_id[node_id] for node_id in (*plan.targets, *keep))
        self._takers: dict[Work, list[tuple[Work, str]]] = {work: [] for work in self._board.works}
        for work in self._board.works:
            for name, index, _ in work.task.wires:
                self._takers[self._board.works[index]].append((work, name))

    def explanations(self) -> list[Explanation]:
        found: dict[Work, Explanation] = {}
        for work in reversed(self._board.works):
            found[work] = self._explain(work, found)
        return list(found.values())[::-1]

    def _explain(self, work: Work, takers: Mapping[Work, Explanation]) -> Explanation:
        task = work.task
        runs: bool | None = False
        sentence = "does not run: "
        found: tuple[Change, ...] = ()
        said = self._note(work)
        if not work.wanted:
            return self._unwanted(work, takers)
        if work.leader is not work:
            reason: Reason = "equal"
            sentence += f"{_name(work.leader)} is equal and gives its result too"
        elif work.done and task.schema.effect:
            reason, sentence = "saved", sentence + "the files that it saved are there, unchanged"
        elif work.done:
            assert isinstance(work.key, str)
            reason = self._tiers[work.key] or "memory"
            sentence += f"its result is remembered {'on disk' if reason == 'disk' else 'in memory'}"
        else:
            runs = True
            reason, why, found = self._why(work, said)
            sentence = f"{'cannot run' if reason == 'broken' else 'runs'}: {why}"
        needed_by = tuple(
            dict.fromkeys(
                taker.task.id
                for taker, name in self._takers[work]
                if takers[taker].runs and self._board.counts(taker, name)
            )
        )
        return Explanation(task.id, task.schema.name, runs, reason, sentence, found, needed_by, said)

    def _unwanted(self, work: Work, takers: Mapping[Work, Explanation]) -> Explanation:
        task = work.task
        asking = [
            taker
            for taker, name in self._takers[work]
            if takers[taker].reason == "lazy" or (takers[taker].runs and not self._board.counts(taker, name))
        ]
        if asking:
            asked = [_name(taker) for taker in asking]
            sentence = f"runs only if it is asked for, by {some(asked)}"
            return Explanation(task.id, task.schema.name, None, "lazy", sentence, note=self._note(work))
        named = [_name(taker) for taker, _ in self._takers[work]]
        sentence = f"does not run: nothing that runs needs it, but only {some(named)}"
        return Explanation(task.id, task.schema.name, False, "unneeded", sentence)

    def _why(self, work: Work, said: Note | None) -> tuple[Reason, str, tuple[Change, ...]]:
        """Why a node runs: the reason, words for it, and what has changed."""
        task = work.task
        if work.error is not None:
            return "broken", f"what its result depends on cannot be read ({work.error})", ()
        if task.schema.effect:
            return "output", "it is an output node, and those are for what they do", ()
        if work.always:
            return "output", "it repeats output nodes, and those are for what they do", ()
        sources = {name: self._board.works[index] for name, index, _ in task.wires}
        if work.key is LATER:
            return "later", "what its result depends on is known only once lazy inputs were asked for", ()
        if work.key is None:
            return (*self._why_never(work, sources), ())
        before = self._notes.last(task.id, task.schema.name)
        if before is None or said is None:
            return "new", "no result for these inputs is remembered", ()
        own, others = changes(before, said)
        if own:
            return "changed", f"since it last ran, {'; '.join(map(_in_words, own))}", tuple(own)
        if others:
            given = ", ".join(f"{name!r} comes from {_name(sources[name])}" for name in others)
            return "source", f"it is given something else than when it last ran ({given})", ()
        return "forgotten", "nothing has changed since it last ran, but its result was not kept", ()

    def _why_never(self, work: Work, sources: Mapping[str, Work]) -> tuple[Reason, str]:
        cls = work.task.spec.node
        if not work.task.schema.pure:
            return "impure", "equal inputs need not give equal results here (pure = False), so that none is reused"
        for name, source in sources.items():
            if source.key is None and self._board.counts(work, name):
                return "impure source", f"no result of {_name(source)} is ever reused, and it takes {name!r} from there"
        if cls.fingerprint is not Node.fingerprint:
            return "unknown", "what its result depends on cannot be told before it runs, so that none is reused"
        return "unknown", "it was given values that have no fingerprint"

    def _note(self, work: Work) -> Note | None:
        task, works = work.task, self._board.works
        if not isinstance(work.key, str):
            return None
        keys: list[Any] = [works[index].key if self._board.counts(work, name) else "" for name, index, _ in task.wires]
        facts = self._printer.facts(task, keys, work.asked if task.lazy else None)
        if facts is None:
            return None
        sources = {name: works[index].task.id for name, index, _ in task.wires}
        return note(task, facts, sources, self._printer.code(task.spec.node), self._printer.environment)


def _name(work: Work) -> str:
    return f"{work.task.schema.name} (node {work.task.id})"


def _in_words(change: Change) -> str:
    if not change.before and not change.after:
        return f"{change.what} changed"
    return f"{change.what} changed from {change.before} to {change.after}"
