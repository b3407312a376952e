from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bot.errors import ConfigError

CANARY = "strategy: {type: canary"


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"target": CANARY + ", stages: [5, 5]}"}, "targets.gcp.strategy.stages: stages should rise, not go 5, 5"),
        ({"web": f"{{{CANARY}, stages: [9, 3]}}}}"}, "targets.gcp.services.web.strategy.stages: stages should rise, not go 9, 3"),
        ({"staging": CANARY + ", stages: [2, 1]}"}, "environments.staging.strategy.stages: stages should rise, not go 2, 1"),
        ({"target": CANARY + ", stages: [0]}"}, "targets.gcp.strategy.stages[0]: should be greater than or equal to 1, not `0`"),
        ({"target": CANARY + ", stages: [100]}"}, "targets.gcp.strategy.stages: 100 is no stage, it comes after them: write `all-at-once` where there are none"),
        ({"target": CANARY + ", stages: []}"}, "targets.gcp.strategy.stages: should not be empty"),
        ({"target": CANARY + ", stage_time: 9m, deadline: 8m}"}, "targets.gcp.strategy.deadline: a stage is over before it has been watched for its `stage_time`"),
        ({"target": CANARY + ", stage_time: 1m, deadline: 3m}"}, "targets.gcp.strategy.deadline: Cloud Monitoring shows nothing before its `delay` is over"),
        ({"target": CANARY + ", stage_time: 1m, deadline: 3m, source: probes}"}, None),
        ({"target": CANARY + "}", "jobs": "{m: {when: release, compatible: breaking}}"}, "targets.gcp.strategy: two versions serve at once during the stages, but `m` is `breaking`"),
        ({"target": CANARY + "}", "jobs": "{m: {when: after, compatible: breaking}}"}, None),
        ({"target": "strategy: cannary"}, "targets.gcp.strategy: `type: cannary` is not one of `all-at-once`, `canary`; did you mean `canary`?"),
        ({"worker": "{kind: worker_pool, port: 80, strategy: canary}"}, [
            "targets.gcp.services.worker.port: `port` is for requests, and a worker pool takes none",
            "targets.gcp.services.worker.strategy: a worker pool takes no requests that stages could be judged by"]),
        ({"worker": "{kind: worker_pool, execution_env: gen1}"}, "targets.gcp.services.worker.execution_env: a worker pool always runs in the second generation"),
        ({"worker": "{kind: worker_pool, execution_env: gen2}"}, None),
        ({"worker": "{kind: worker_pool}", "staging": "services: {worker: {public: true}}"}, "environments.staging.services.worker.public: `public` is for requests, and a worker pool takes none"),
        ({"worker": "{kind: worker_pool}", "staging": "services: {worker: {kind: worker_pool, memory: 1Gi}}"}, None),
        ({"worker": "{kind: worker_pool}", "staging": "services: {worker: {kind: service}}"}, "environments.staging.services.worker.kind: a service is of one kind in all environments"),
        ({"web": "{after: [wroker]}"}, "targets.gcp.services.web.after[0]: there is no service `wroker`; did you mean `worker`?"),
        ({"web": "{after: worker}", "worker": "{after: web}"}, "targets.gcp.services.web.after: waits for itself: `web` after `worker` after `web`"),
        ({"web": "{after: web}"}, "targets.gcp.services.web.after: waits for itself: `web` after `web`"),
        ({"web": "{after: worker}", "target": "order: [web, worker]"}, "targets.gcp.services.web.after: waits for itself: `web` after `worker` after `web`"),
        ({"target": "order: [web, worker, web]"}, "targets.gcp.order: waits for itself: `web` after `worker` after `web`"),
        ({"staging": "services: {web: {after: worker}, worker: {after: web}}"}, "environments.staging.services.web.after: waits for itself: `web` after `worker` after `web`"),
        ({"staging": "services: {web: {after: wroker}}"}, "environments.staging.services.web.after[0]: there is no service `wroker`; did you mean `worker`?"),
        ({"jobs": "{a: {when: release, after: [c]}, b: {when: release}, c: {when: release}}"}, "targets.gcp.jobs.a.after: waits for itself: `a` after `c` after `b` after `a`"),
        ({"jobs": "{a: {when: release, after: [c]}, b: {when: after}, c: {when: release, after: []}}"}, None),
        ({"jobs": "{a: {when: release}, b: {when: release, after: a}}", "staging": "jobs: {a: {when: after}}"}, "environments.staging.jobs.b.after[0]: `a` runs at another time (`when: after`)"),
        ({"jobs": "{a: {when: release}}", "staging": "jobs: {a: {after: x}}"}, "environments.staging.jobs.a.after[0]: there is no job `x`; did you mean `a`?"),
        ({"jobs": "{m: {when: release}}", "target": CANARY + "}", "staging": "jobs: {m: {compatible: breaking}}"}, "environments.staging.jobs.m.compatible: two versions serve at once during the stages"),
        ({"jobs": "{m: {when: release}}", "staging": "jobs: {m: {compatible: breaking}}"}, None),
        ({"jobs": "{a: {when: release, after: [b]}, b: {when: after}}"}, "targets.gcp.jobs.a.after[0]: `b` runs at another time (`when: after`)"),
        ({"jobs": "{a: {when: release, after: [z]}}"}, "targets.gcp.jobs.a.after[0]: there is no job `z`; did you mean `a`?"),
        ({"target": "order: [wbe, verify]"}, "targets.gcp.order[0]: there is no service or job `wbe`; did you mean `web`?"),
        ({"staging": "region: [a, b, a]"}, "environments.staging.region: `a` stands here twice"),
        ({"staging": "region: [a, b]", "web": "{regions: [b]}"}, None),
        ({"web": "{regions: [elsewhere]}"}, "targets.gcp.services.web.regions: there is no region `elsewhere`; there is `r`"),
        ({"web": "{regions: []}"}, "targets.gcp.services.web.regions: should not be empty: leave it out where a service runs in all regions"),
        ({"staging": "services: {web: {regions: [x]}}"}, "environments.staging.services.web.regions: there is no region `x`; did you mean `r`?"),
        ({"staging": "region: [a, b]", "web": "{regions: [b]}", "worker": "{regions: [a]}"}, [
            "environments.production: none of its services runs in `r`: there is nothing to release"]),
        ({"web": "{name: a-name-that-is-much-too-long-for-a-tag-beside}", "production": "project: q"}, "targets.gcp.services.web: `a-name-that-is-much-too-long-for-a-tag-beside` has 45 characters; at most 35 leave room for a tag and a revision's name"),
        ({"web": "{name: 'a-name-that-is-much-too-long-${vars.X}'}", "production": "project: q"}, None),
        ({"web": "{name: Web_1}", "production": "project: q"}, "targets.gcp.services.web: `Web_1` is no name on Cloud Run: lower case letters, digits and hyphens, a letter first"),
        ({"web": "{name: wéb}", "production": "project: q"}, "targets.gcp.services.web: `wéb` is no name on Cloud Run: lower case letters, digits and hyphens, a letter first"),
        ({"web": "{name: ''}"}, "targets.gcp.services.web.name: should not be empty"),
        ({"jobs": "{m: {name: M_1}}"}, "targets.gcp.jobs.m: `M_1` is no name on Cloud Run: lower case letters, digits and hyphens, a letter first"),
        ({"jobs": "{m: {name: " + "m" * 47 + "}}"}, f"targets.gcp.jobs.m: `{'m' * 47}` has 47 characters; at most 46 leave room for an execution's name"),
        ({"web": "{name: x}", "worker": "{name: x}", "production": "project: q"}, "targets.gcp.services.worker: `web` and `worker` are both called `x`: one would replace the other"),
        ({"jobs": "{m: {name: x}, n: {name: x}}"}, "targets.gcp.jobs.n: `m` and `n` are both called `x`: one would replace the other"),
        ({"web": "{name: x, regions: a}", "worker": "{name: x, regions: b}", "staging": "region: [a, b]", "production": "region: [b, a], project: q"}, None),
        ({"target": CANARY + ", stage_time: 1m, deadline: 5m, look_every: 6m}"}, "targets.gcp.strategy.look_every: is longer than a stage lasts"),
        ({"target": "watch: {time: 5m, look_every: 6m}"}, "targets.gcp.watch.look_every: is longer than the log is watched"),
        ({"target": "watch: 10s"}, "targets.gcp.watch.time: is over before a line has had its `delay` to arrive"),
        ({"target": "watch: {time: 5m, then: rolback}"}, "targets.gcp.watch.then: should be `rollback` or `suggest`, not `rolback`"),
    ],
)  # fmt: skip
def test_rollouts_that_cannot_be(
    make_config: Callable[..., Any], over: dict[str, str], expected: str | list[str] | None
) -> None:
    if expected is None:
        make_config(**over)
        return
    with pytest.raises(ConfigError) as caught:
        make_config(**over)
    found = [line.partition(": ")[2] for line in caught.value.problems]
    assert found == ([expected] if isinstance(expected, str) else expected)
