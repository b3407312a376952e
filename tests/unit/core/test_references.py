"""What is impossible although each part is well formed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bot.core.config_file import load
from bot.errors import ConfigError


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        # targets and environments
        ({"legacy": "target: herok"}, None),  # twice the key: refused as YAML
        ({"top": "default_environment: stagin"}, "3: default_environment: there is no environment `stagin`; did you mean `staging`?"),
        ({"top": "default_environment: x"}, "3: default_environment: there is no environment `x`; there are `legacy`, `production` and `staging`"),
        ({"top": "default_environment: production"}, "3: default_environment: production is never the default: name it each time"),
        ({"top": "default_environment: staging", "staging": "production: true"}, "3: default_environment: production is never the default: name it each time"),
        ({"top": "default_environment: production", "production": "production: false"}, ""),
        ({"staging": "promote_from: prod"}, "15: environments.staging.promote_from: there is no environment `prod`; there are `legacy`, `production` and `staging`"),
        ({"production": "promote_from: staging"}, ""),
        ({"production": "promote_from: {environment: staging, soak: 1h}"}, ""),
        ({"production": "promote_from: {environment: stagin}"}, "16: environments.production.promote_from: there is no environment `stagin`; did you mean `staging`?"),
        ({"production": "promote_from: legacy"}, "16: environments.production.promote_from: `legacy` is on Heroku: images are promoted between environments on Cloud Run"),
        ({"legacy": "promote_from: staging"}, "17: environments.legacy.promote_from: `legacy` is on Heroku: images are promoted between environments on Cloud Run"),
        ({"production": "promote_from: staging, on: push"}, "16: environments.production.promote_from: what was just pushed has not been verified on `staging` yet: leave `on: push` out"),
        ({"production": "promote_from: production"}, "16: environments.production.promote_from: an image has to be built somewhere: `production` from `production`"),
        ({"staging": "services: {wbe: {}}"}, "15: environments.staging.services.wbe: there is no service `wbe`; did you mean `web`?"),
        ({"staging": "jobs: {migrate: {}}"}, "15: environments.staging.jobs.migrate: there is no job `migrate`; there is none"),
        ({"staging": "app: x"}, "15: environments.staging.app: `app` names a Heroku app; this environment's target is Cloud Run"),
        ({"legacy": "project: x"}, "17: environments.legacy.project: `project` is for Cloud Run; this environment's target is Heroku"),
        ({"legacy": "services: {app: {}}"}, "17: environments.legacy.services: `services` is for Cloud Run; this environment's target is Heroku"),
        ({"target": "suffix: {prod: '', default: '-{env}'}"}, "9: targets.gcp.suffix.prod: there is no environment `prod`; there are `legacy`, `production` and `staging`"),
        ({"target": "suffix: {production: '', default: '-{env}'}"}, ""),
        ({"top": "build: {config: b.yaml, dockerfile: D}"}, "3: build.config: give either `dockerfile` or `config`"),
        ({"top": "build: {config: b.yaml}"}, ""),
        ({"top": "build: {overlay: {context: extras, repos: [a/b, a/c]}}"}, ""),
        ({"top": "build: {overlay: {context: extras, repos: [a/b]}, config: b.yaml}"}, "3: build.overlay: give either `overlay` or `config`: the sources are laid beside one that was uploaded, for a Dockerfile"),
        ({"top": "build: {overlay: {context: extras, repos: [a/b]}, repository: r}"}, "3: build.overlay: give either `overlay` or `repository`: the sources are laid beside one that was uploaded, for a Dockerfile"),
        ({"top": "build: {overlay: {context: extras, repos: [a/b, c/b]}}"}, "3: build.overlay.repos: two repositories are called `b`, and each gets a folder of its name"),
        # workloads
        ({"web": "{env: {A: x}, secrets: {A: y}}"}, "10: targets.gcp.services.web.secrets.A: `A` is in `env` as well"),
        ({"jobs": "{m: {run: x, args: [y]}}"}, "11: targets.gcp.jobs.m.run: give either `run` or `command` and `args`"),
        ({"jobs": "{m: {run: x, command: [y]}}"}, "11: targets.gcp.jobs.m.run: give either `run` or `command` and `args`"),
        ({"jobs": "{m: {env_file: /x}}"}, "11: targets.gcp.jobs.m.env_file: `env_file` goes with `run`"),
        ({"jobs": "{m: {run: x, env_file: /x}, n: {command: [y], args: [z]}}"}, ""),
        ({"web": "{scale: {min: 3, max: 2}}"}, "10: targets.gcp.services.web.scale: `min` is 3, which is more than `max`, 2"),
        ({"web": "{scale: {max: 2}}", "staging": "services: {web: {scale: {min: 3}}}"}, "15: environments.staging.services.web.scale: `min` is 3, which is more than `max`, 2"),
        ({"web": "{scale: {min: 1, max: 2}}", "staging": "services: {web: {scale: {min: 3, max: 4}}}"}, ""),
        # checks
        ({"verify": "[{http: health}]"}, "12: targets.gcp.verify[0].http: should be a path that begins with `/`, or an absolute URL"),
        ({"verify": "[{http: /, service: wbe}]"}, "12: targets.gcp.verify[0].service: there is no service `wbe`; did you mean `web`?"),
        ({"verify": "[{job: x}]"}, "12: targets.gcp.verify[0].job: there is no job `x`; there is none"),
        ({"verify": "[{iam: x}]"}, "12: targets.gcp.verify[0].iam: there is no service `x`; there are `web` and `worker`"),
        ({"verify": "[{serving: []}]"}, "12: targets.gcp.verify[0].serving: should not be empty"),
        ({"web": "{secrets: {A: ''}}"}, "10: targets.gcp.services.web.secrets.A: should not be empty"),
        ({"web": "{secrets: {A: {name: a, version: 0}}}"}, "10: targets.gcp.services.web.secrets.A.version: `0` is no version: write `latest` or a number"),
        ({"web": "{vpc: atuo}"}, "10: targets.gcp.services.web.vpc: should be `auto`, not `atuo`"),
        ({"verify": "[{serving: [web, x]}]"}, "12: targets.gcp.verify[0].serving[1]: there is no service `x`; there are `web` and `worker`"),
        ({"staging": "verify: [{iam: x}]"}, "15: environments.staging.verify[0].iam: there is no service `x`; there are `web` and `worker`"),
        ({"legacy": "verify: [{http: /, service: web}]"}, "17: environments.legacy.verify[0].service: there is no service `web`; there is `app`"),
        ({"legacy": "verify: [{serving: [app]}]"}, ""),
        ({"verify": "[{http: 'https://x/'}, {http: '{url}/x'}, {http: '${vars.URL}/x'}]"}, ""),
        ({"worker": "{kind: worker_pool}", "verify": "[{http: /, service: worker}]"}, "12: targets.gcp.verify[0].service: a worker pool takes no requests: check it with a job"),
        ({"worker": "{kind: worker_pool}", "web": "{kind: worker_pool}", "verify": "[{http: /}]"}, "12: targets.gcp.verify[0].http: there is no service to ask: a worker pool takes no requests"),
        ({"worker": "{kind: worker_pool}", "web": "{kind: worker_pool}", "verify": "[{http: 'https://x/'}]"}, ""),
        ({"worker": "{kind: worker_pool}", "verify": "[{http: /}, {iam: worker, no_public_invoker: true}, {serving: [worker]}]"}, ""),
        ({"worker": "{kind: worker_pool}", "verify": "[{iam: worker, ingress: all}]"}, "12: targets.gcp.verify[0].iam: a worker pool takes no requests, so nobody can reach it"),
        ({"worker": "{kind: worker_pool}", "verify": "[{iam: worker, no_public_invoker: false}]"}, "12: targets.gcp.verify[0].iam: a worker pool takes no requests, so nobody can reach it"),
        # placeholders
        ({"target": "image: '{regoin}/x'"}, "9: targets.gcp.image: `{regoin}` is no placeholder; did you mean `{region}`?"),
        ({"target": "image: '{zzzzzzzzz}/x'"}, "9: targets.gcp.image: `{zzzzzzzzz}` is no placeholder"),
        ({"web": "{env: {Q: '{queue}'}}"}, "10: targets.gcp.services.web.env.Q: `{queue}` is no placeholder"),
        ({"web": "{env: {Q: '{queue}'}}", "staging": "values: {queue: x}"}, "10: targets.gcp.services.web.env.Q: `{queue}` has no value in `production`: give it under `values` there"),
        ({"web": "{env: {Q: '{queue}'}}", "staging": "values: {queue: x}", "production": "values: {queue: y}"}, ""),
        ({"staging": "values: {queue: x}, env: {Q: '{queue}'}"}, ""),
        ({"production": "env: {Q: '{queue}'}", "staging": "values: {queue: x}"}, "16: environments.production.env.Q: `{queue}` has no value in `production`: give it under `values` there"),
        ({"top": "build: {args: {Q: '{queue}'}}", "staging": "values: {queue: x}"}, "3: build.args.Q: `{queue}` has no value in `production` and `legacy`: give it under `values` there"),
        ({"staging": "values: {sha: x}"}, "15: environments.staging.values.sha: `{sha}` is built in; choose another name"),
        ({"target": "scheduler: {source: x, uri: '{worker.url}'}"}, ""),
        ({"top": "config_vars: {x: '{nothing}'}"}, ""),
        # previews
        ({"staging": "previews: {services: web, env: {A: x}, secrets: {B: y}, verify: [{http: /}]}"}, ""),
        ({"staging": "previews: {services: [web, wbe]}"}, "15: environments.staging.previews.services: there is no service `wbe`; did you mean `web`?"),
        ({"staging": "previews: {services: worker}", "worker": "{kind: worker_pool}"}, "15: environments.staging.previews.services: `worker` takes no requests: nobody could look at its preview"),
        ({"staging": "previews: {}", "web": "{kind: worker_pool}", "worker": "{kind: worker_pool}"}, "15: environments.staging.previews: no service takes requests: there is nothing to look at"),
        ({"staging": "previews: {services: []}"}, "15: environments.staging.previews.services: should not be empty: leave it out for those that are public"),
        ({"staging": "region: [a, r], previews: {services: web}", "web": "{regions: r}"}, "15: environments.staging.previews.services: `web` is not in the first region, where previews are made"),
        ({"staging": "region: [a, r], previews: {}", "web": "{regions: r}", "worker": "{kind: worker_pool}"}, "15: environments.staging.previews: no service that takes requests runs in the first region, where previews are made"),
        ({"staging": "previews: {env: {A: x}, secrets: {A: y}}"}, "15: environments.staging.previews.secrets.A: `A` is in `env` as well"),
        ({"staging": "previews: {verify: [{http: 'https://x/'}]}"}, "15: environments.staging.previews.verify[0].http: should be a path: it is asked at the preview's own address"),
        ({"staging": "previews: {verify: [{iam: web}]}"}, "15: environments.staging.previews.verify[0]: a preview runs no jobs and has no traffic: only `http` checks can be made of it"),
        ({"staging": "previews: {verify: [{http: /, service: wbe}]}"}, "15: environments.staging.previews.verify[0].service: there is no service `wbe`; did you mean `web`?"),
        ({"staging": "previews: {env: {A: '{queue}'}}"}, "15: environments.staging.previews.env.A: `{queue}` is no placeholder"),
        ({"legacy": "previews: {}"}, "17: environments.legacy.previews: `previews` is for Cloud Run; this environment's target is Heroku"),
        # two environments in one place
        ({"target": "suffix: {}"}, "16: environments.production: `staging` and `production` are the same Cloud Run service: give one of them a name, project or region"),
        ({"target": "suffix: {}", "production": "project: other"}, ""),
        ({"target": "suffix: {}", "production": "region: other"}, ""),
        ({"target": "suffix: {}", "production": "services: {web: {name: a}, worker: {name: b}}"}, ""),
        ({"web": "{name: shop}"}, "16: environments.production: `staging` and `production` are the same Cloud Run service: give one of them a name, project or region"),
        ({"web": "{name: 'shop-{env}'}"}, ""),
        ({"web": "{name: 'x{tier}'}", "staging": "values: {tier: a}", "production": "values: {tier: b}"}, ""),
        ({"legacy": "app: shop-live"}, ""),
    ],
)  # fmt: skip
def test_impossible_references(make_config: Callable[..., Any], over: dict[str, str], expected: str | None) -> None:
    found: tuple[str, ...] = ()
    try:
        make_config(**over)
    except ConfigError as error:
        found = error.problems
    if expected is None:
        assert found
    else:
        assert [line.removeprefix("s.yml:") for line in found] == ([expected] if expected else [])


HEROKU = "version: 1\napp: shop\ntargets: {h: {type: heroku, app: shop}}\n"
BOTH = "version: 1\napp: shop\ntargets: {h: {type: heroku, app: 'shop-{env}'}, g: {type: heroku, app: 'other-{env}'}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEROKU + "environments: {a: {}}", ""),
        (HEROKU + "environments: {a: {}, b: {app: x}}", ""),
        (
            HEROKU + "environments: {a: {}, b: {}}",
            "4: environments.b: `a` and `b` are the same Heroku app: give one of them a name, project or region",
        ),
        (
            HEROKU + "environments: {a: {target: x}}",
            "4: environments.a.target: there is no target `x`; did you mean `h`?",
        ),
        (
            HEROKU + "environments: {a: {target: cloud}}",
            "4: environments.a.target: there is no target `cloud`; there is `h`",
        ),
        (BOTH + "environments: {a: {}}", "4: environments.a: name a `target`: there are `g` and `h`"),
        (BOTH + "environments: {a: {target: g}, b: {target: h}}", ""),
    ],
)
def test_which_target(text: str, expected: str) -> None:

    found: tuple[str, ...] = ()
    try:
        load(text, file="s.yml")
    except ConfigError as error:
        found = error.problems
    assert [line.removeprefix("s.yml:") for line in found] == ([expected] if expected else [])


def test_an_image_that_is_promoted_in_a_circle(make_config: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(staging="promote_from: production", production="promote_from: staging")
    first, second = caught.value.problems
    assert first.endswith("an image has to be built somewhere: `staging` from `production` from `staging`")
    assert second.endswith("an image has to be built somewhere: `production` from `staging` from `production`")


def test_a_circle_that_an_environment_only_leads_to_is_told_once(make_config: Callable[..., Any]) -> None:
    text = """\
version: 1
app: shop
targets: {gcp: {type: cloud_run, project: p, region: r, services: {web: {}}}}
environments:
  one: {promote_from: one}
  two: {promote_from: one}
"""
    with pytest.raises(ConfigError) as caught:
        load(text, file="s.yml")
    (problem,) = caught.value.problems
    assert problem.startswith("s.yml:5: environments.one.promote_from")
