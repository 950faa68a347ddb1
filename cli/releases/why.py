"""`slate why`: everything about one answer, of a request that was logged or of one that is asked now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import AsJson, aligned, print_result
from cli.parameters import load_settings
from contracts.errors import WrongInput
from contracts.home import find_home

if TYPE_CHECKING:
    from contracts.home import Home
    from contracts.settings.settings import Settings
    from contracts.slates import RecommendRequest

N_GROUPS, N_FEATURES = 6, 5  # told of each item in words; `--json` has all


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(why)


def why(
    request_id: Annotated[str | None, typer.Argument(help="Of a logged request.")] = None,
    *,
    user: Annotated[str | None, typer.Option("--user", help="Ask now for this person instead.")] = None,
    request: Annotated[str | None, typer.Option(help="Ask this now instead: a request, as JSON.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=500, help="Items wanted, with --user.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Print all about an answer: candidates and what removed each, features and ages, contributions, rules, places."""
    from contracts.ids import UserId
    from contracts.progress import working
    from contracts.slates import RecommendRequest

    if sum(given is not None for given in (request_id, user, request)) != 1:
        raise WrongInput(
            "`slate why` tells of one answer.", "Name a REQUEST_ID, or a person: --user ID, or --request JSON."
        )
    home, settings = find_home(), load_settings()
    with working("slate why: the request is answered, and everything about it noted"):
        if request_id is not None:
            account = _of_logged(home, settings, request_id)
        elif request is not None:
            account = _of_asked(home, settings, _parsed(request, settings.seed))
        else:
            asked = RecommendRequest("why", user_id=UserId(str(user)), k=k, seed=settings.seed, explain=True)
            account = _of_asked(home, settings, asked)
    print_result(account, as_json, _text(account))


def _parsed(text: str, seed: int) -> RecommendRequest:
    from pydantic import ValidationError

    from serving.wire import Question

    try:
        return Question.model_validate_json(text).to_request("why", seed)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise WrongInput(
            f"--request is no question: {where} {problem['msg']}.".replace("  ", " "),
            """Write it as it is sent to /v1/recommend, for example '{"user_id": "42", "k": 5}'.""",
        ) from error


def _of_logged(home: Home, settings: Settings, request_id: str) -> dict[str, Any]:
    """Of the answer that the log tells, given again by its own release and generation."""
    from dataclasses import replace

    from feature_store.online.connection import connect
    from feature_store.server.embedded_redis import online_store
    from release.replay.account import AnswerRecorder, account_of
    from release.replay.logged_answer import slate_fingerprint
    from release.replay.replay import Answerer
    from release.replay.request_log import logged_answer

    with online_store(home) as url, connect(url) as client:
        logged = logged_answer(client, settings.app, request_id, settings.serving.request_log_length)
    answerer = Answerer.kept(home, logged.release_id, logged.generation_id)
    is_same = slate_fingerprint(answerer.answer(logged)) == logged.fingerprint
    noted, asked = AnswerRecorder(), replace(logged, request=replace(logged.request, explain=True))
    slate = answerer.answer(asked, noted)
    account = account_of(answerer.release, logged.request, slate, noted)
    return {"arm": logged.arm, "is_as_logged": is_same, "logged_degraded": list(logged.degraded), **account}


def _of_asked(home: Home, settings: Settings, request: RecommendRequest) -> dict[str, Any]:
    """Of what the release in production answers now."""
    from release.answering.request_path import answer_many
    from release.replay.account import AnswerRecorder, account_of
    from serving.current_release import served_now

    noted = AnswerRecorder()
    with served_now(home, settings) as served:
        (slate,) = answer_many(served.release, served.reader, served.clock, [request], noted)
        account = account_of(served.release, request, slate, noted)
    return {"arm": str(served.arm), "is_as_logged": None, "logged_degraded": [], **account}


def _text(account: dict[str, Any]) -> str:
    sections = [_head(account), _person(account), _rules(account), _generators(account)]
    return "\n\n".join([*sections, *(_item(item) for item in account["items"])])


def _head(account: dict[str, Any]) -> str:
    request = account["request"]
    missing = f"without {', '.join(account['degraded'])}" if account["degraded"] else "nothing missing"
    who = request["user_id"] or request["session_id"] or "nobody known"
    place = account["rules"]["placement"]
    lines = [
        f"request {request['request_id']} of {who}, {place}, k {request['k']}, at {account['now']}",
        f"release {account['release_id']}, generation {account['generation_id']}, arm {account['arm']}",
        f"tier {account['tier']}, policy {account['policy_id']}, {missing}",
    ]
    if account["logged_degraded"]:
        lines.append(f"it was answered without {', '.join(account['logged_degraded'])}; here it has everything")
    elif account["is_as_logged"] is not None:
        lines.append("the answer is as logged, byte for byte" if account["is_as_logged"] else "the answer DIFFERS")
    return "\n".join(lines)


def _person(account: dict[str, Any]) -> str:
    person = account["person"]
    known = [feature for feature in person["features"] if not feature["is_default"]]
    rows = [("feature", "value", "row's age"), *((_name(f), _number(f["value"]), _age(f)) for f in known)]
    counts = (
        f"{person['history_events']} events, {person['session_events']} in the session, "
        f"{person['recent_events']} of late"
    )
    n_defaults = len(person["features"]) - len(known)
    return f"the person: {counts}; {len(known)} features known, {n_defaults} at their defaults\n" + aligned(
        rows, n_left=1, indent="  "
    )


def _rules(account: dict[str, Any]) -> str:
    return "\n".join([_placement(account["rules"]), *_rules_that_held(account["rules"]), _request_rules(account)])


def _placement(rules: dict[str, Any]) -> str:
    where = f"where {rules['where']}" if rules["where"] else "every item may stand there"
    return f"placement {rules['placement']}: {where}; {'rules that held:' if rules['of_placement'] else 'no rule held'}"


def _rules_that_held(rules: dict[str, Any]) -> list[str]:
    return [
        f"  {rule['name']}: {rule['does']} {rule['items']}"
        + "".join(f", {option} {value}" for option, value in rule["options"].items())
        + (f", when {rule['when']}" if "when" in rule else "")
        for rule in rules["of_placement"]
    ]


def _request_rules(account: dict[str, Any]) -> str:
    rules = account["rules"]
    events = ", ".join(rules["excluding_events"] or ()) or "any event"
    span = "for ever" if rules["excluded_days"] is None else f"for {rules['excluded_days']:g} days"
    return (
        f"request: {rules['excluded_items']} items excluded (after {events}, {span}); its own filter "
        f"{rules['filter'] or 'none'}; "
        f"at most {rules['n_ranked']} ranked; relevance weight {rules['relevance_weight']:g}, "
        f"diversity {rules['diversity']['method']}, "
        f"exploration {rules['exploration_share']:g}"
    )


def _generators(account: dict[str, Any]) -> str:
    columns = ("name", "quota", "excluded", "filtered", "proposed", "not_ranked", "ranked_below", "shown")
    header = ("generator", *(column.replace("_", " ") for column in columns[1:]))
    rows = [tuple(one[column] for column in columns) for one in account["generators"]]
    further = account["by_rules"]
    if further["proposed"]:
        rows.append(("by rules", *(further.get(column, "") for column in columns[1:])))
    return aligned([header, *rows], n_left=1)


def _item(item: dict[str, Any]) -> str:
    moved = _moved(item)
    by = ", ".join(f"{name} {told['place']}" for name, told in item["proposed_by"].items())
    head = f"{item['position']}. {item['title']} ({item['item_id']}): score {item['score']:.4f}{moved}"
    lines = [f"{head}, propensity {item['propensity']:g}", f"   proposed by {by or 'nobody'}"]
    lines += [f"   rules {', '.join(item['rules'])}"] if item["rules"] else []
    lines += [f"   {reason}" for reason in item["reasons"]]
    if "groups" in item:
        lines += ["   " + _sum_text(item), *(f"     {text}" for text in _feature_texts(item))]
    elif item["boosts"]:
        fused = item["score"] - sum(item["boosts"].values())
        lines.append("   " + ", ".join([f"score = ranks fused {fused:.4f}", *_boost_texts(item)]))
    return "\n".join(lines)


def _moved(item: dict[str, Any]) -> str:
    """The places that it would have by its own score, and by that with boosts, where they are others."""
    by_score, boosted = item["place_by_score"], item["place_after_boosts"]
    told = [f"place {by_score} by score"] if by_score != item["position"] or boosted != by_score else []
    told += [f"{boosted} with boosts"] if boosted != by_score else []
    return "".join(f", {text}" for text in told)


def _boost_texts(item: dict[str, Any]) -> list[str]:
    return [f"rule {name} {added:+.4f}" for name, added in item["boosts"].items()]


def _sum_text(item: dict[str, Any]) -> str:
    groups = list(item["groups"].items())
    told = [f"{group} {added:+.4f}" for group, added in groups[:N_GROUPS]]
    rest = sum(added for _, added in groups[N_GROUPS:])
    return f"score = base {item['base']:.4f}, {', '.join([*told, f'others {rest:+.4f}', *_boost_texts(item)])}"


def _feature_texts(item: dict[str, Any]) -> list[str]:
    ages = {feature["name"]: _age(feature) for feature in item["row"]}
    return [
        f"{one['added']:+.4f}  {one['name']} = {_number(one['value'])}{_in_brackets(ages.get(one['name'], ''))}"
        for one in item["features"][:N_FEATURES]
    ]


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _name(feature: dict[str, Any]) -> str:
    return str(feature["name"])


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4g}"


def _age(feature: dict[str, Any]) -> str:
    if feature["is_default"]:
        return "default"
    return "" if feature["age_days"] is None else f"{feature['age_days']:.1f} days"
