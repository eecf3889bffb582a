"""The report model as text for a terminal or a pipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import singledispatch

from rbacguard.output import migrations, readiness, wire
from rbacguard.output.formats import Options
from rbacguard.output.names import chain, counted, first_of, name
from rbacguard.output.page import COLOURS, Node, Page
from rbacguard.rbac.attributes import format_action

_SEVERITIES = ("critical", "high", "medium", "low", "info")


def to_table(report: wire.Report, options: Options) -> str:
    """Return a report as text."""
    page = _new_page(options)
    _render(report, page)
    return page.text()


def _new_page(options: Options) -> Page:
    if options.width is None and not options.colour:
        return Page(options)
    # Imported here: rich takes long to load, and a pipe has no use for it.
    from rbacguard.output.terminal import TerminalPage

    return TerminalPage(options)


@singledispatch
def _render(report: object, _page: Page) -> None:
    raise TypeError(f"no table for {type(report).__name__}")


def _scopes(scopes: Sequence[str | None] | None, fold: int) -> str:
    if scopes is None or None in scopes:
        return "(whole cluster)"
    named = [scope for scope in scopes if scope is not None]
    more = f" +{len(named) - fold} more" if len(named) > fold else ""
    return ", ".join(named[:fold]) + more


def _verbs(actions: Iterable[tuple[str, str, str]]) -> str:
    """Return actions in short, `VMIM create,delete; virtualmachines/migrate update`."""
    found: dict[str, list[str]] = {}
    for verb, resource, subresource in actions:
        short = "VMIM" if resource == "virtualmachineinstancemigrations" else resource
        found.setdefault(f"{short}/{subresource}" if subresource else short, []).append(verb)
    return "; ".join(f"{resource} {','.join(verbs)}" for resource, verbs in found.items())


def _proof(grants: Iterable[wire.GrantModel], limit: int) -> Node:
    """Return what proves grants: a role's rule, the roles that take it up, bindings, subjects."""
    root = Node()
    subjects: dict[tuple[str, ...], dict[str, None]] = {}
    for grant in grants:
        source, *above = reversed(grant.roles)
        roles = [f"aggregated into {name(role)}" for role in above]
        path = (f"{name(source)}: {_rule(grant.rule)}", *roles, name(grant.binding))
        subjects.setdefault(path, {})[name(grant.subject)] = None
    for path, named in list(subjects.items())[:limit]:
        node = root
        for text in path[:-1]:
            node = node.branch(text)
        node.branch(f"{path[-1]} binds {', '.join(named)}")
    return root


def _rule(rule: wire.RuleModel) -> str:
    groups = [group for group in rule.api_groups or () if group]
    of = f" ({', '.join(groups)})" if groups else ""
    names = f" named {', '.join(rule.resource_names)}" if rule.resource_names else ""
    what = ", ".join(rule.resources or rule.non_resource_urls or ())
    return f"{','.join(rule.verbs)} {what}{of}{names}"


def _not_seen(page: Page, gaps: Sequence[str]) -> None:
    """Say at the top that the answer is not whole; the end of the page says what of it."""
    if gaps:
        more = f", and {len(gaps) - 1} more, below" if len(gaps) > 1 else ""
        page.line(f"Not seen:  {gaps[0]}{more}", "bold yellow")


def _gaps(page: Page, gaps: Sequence[str], consequence: str) -> None:
    if not gaps:
        return
    page.heading("incomplete input")
    page.line(consequence, "yellow")
    for gap in gaps:
        page.line(f"- {gap}", indent=2)


def _warnings(page: Page, warnings: Sequence[str]) -> None:
    for warning in warnings:
        page.line(f"! {warning}", "yellow")


def _origin(page: Page, origin: wire.OriginModel | None) -> None:
    """Say which cluster was read, when, and at which moment of it."""
    if origin is None:
        return
    version = f", Kubernetes {origin.server_version}" if origin.server_version else ""
    redacted = ", names replaced" if origin.redacted else ""
    where = f"{origin.context} ({origin.server})" if origin.server else origin.context
    page.line(f"Cluster:   {where}{version}{redacted}")
    versions = sorted(set(origin.resource_versions.values()))
    at = f" at resource version {', '.join(versions)}" if versions else ""
    page.line(f"Read:      {origin.finished}{at} as {origin.user}")
    _warnings(page, origin.notes)


def _input(page: Page, coverage: wire.CoverageModel) -> None:
    _origin(page, coverage.origin)
    read = [f"{k.count} {k.kind}s" for k in coverage.kinds if k.state != "absent"]
    absent = [f"{k.kind}s{_why(k)}" for k in coverage.kinds if k.state == "absent"]
    page.line("Input:     " + ", ".join(read) + (f"; no {', '.join(absent)}" if absent else ""))
    if coverage.skipped:
        kinds = ", ".join(f"{count} {kind}" for kind, count in coverage.skipped.items())
        page.line(f"           passed over: {kinds}")


def _why(kind: wire.KindModel) -> str:
    """Return why a cluster gave none of a kind; that a file has none needs no words."""
    reason = kind.reasons[0].partition(" (")[0].partition(":")[0] if kind.reasons else ""
    return "" if reason in ("", "not in the input") else f" ({reason})"


@_render.register
def _readiness(report: wire.ReadinessReport, page: Page) -> None:
    readiness.summary(report, page)
    findings_line(report, page)
    findings(report, page)
    readiness.tables(readiness.sections(report), report.coverage.gaps, page)


@_render.register
def _migrations(report: wire.MigrationsReport, page: Page) -> None:
    migrations.summary(report, page)
    findings_line(report, page)
    findings(report, page)
    shown = migrations.sections(report, everything=page.options.verbose)
    readiness.tables(shown, report.coverage.gaps, page)


@_render.register
def _status(report: wire.StatusReport, page: Page) -> None:
    page.line(f"Installed: {report.installed.label}")
    page.line(f"Step:      {report.step} - {report.title}", "bold")
    page.line(f"Next:      {report.next}")
    for command in report.commands:
        page.command(command, indent=11)
    _input(page, report.coverage)
    page.heading("evidence")
    for line in report.installed.evidence:
        page.line(f"- {line}", indent=2)
    for role in report.temporary_roles:
        page.line(f"- temporary role: {role}", indent=2)
    _gaps(page, report.coverage.gaps, "What was not read may change the step:")


def _cross_check(page: Page, found: wire.CrossCheckModel | None) -> None:
    if found is None:
        return
    note = f" ({found.note})" if found.note else ""
    if not found.asked:
        page.line(f"Asked:     nothing{note}", "yellow")
        return
    agreed = "agrees with all" if not found.disagreed else f"disagrees with {found.disagreed}"
    page.line(f"Asked:     the API server {agreed} of {found.asked} answers, by {found.by}{note}")


@_render.register
def _audit(report: wire.AuditReport, page: Page) -> None:
    status = report.status
    page.line(f"Installed: {status.installed.label}")
    page.line(f"Step:      {status.step} - {status.title}", "bold")
    if report.update is not None:
        new = report.update
        page.line(
            f"Update:    to {new.target} (KubeVirt {new.target_kubevirt}), if nothing is done:"
        )
        page.line(_summary(new.lost, new.kept, new.gained), indent=11)
    _input(page, report.coverage)
    unknown = [
        f"{result.policy.id} is unknown"
        for result in report.policies
        if result.outcome == "unknown"
    ]
    gaps = [*report.coverage.gaps, *unknown]
    _not_seen(page, gaps)
    findings_line(report, page)
    _cross_check(page, report.cross_check)
    findings(report, page)
    page.heading("who can migrate today")
    page.table(
        ["SUBJECT", "WHERE", "MAY", "BY"],
        [
            (
                name(holder.subject) + (f" ({holder.known})" if holder.known else ""),
                _scopes(holder.namespaces, page.options.fold),
                _verbs((a.verb, a.resource, a.subresource) for a in holder.actions),
                _by(map(chain, holder.grants), page.options),
            )
            for holder in report.holders
        ],
    )
    asked = Counter(result.outcome for result in report.policies)
    page.line()
    page.line(
        f"{len(report.policies)} policies: {asked['failed']} with findings, "
        f"{asked['passed']} passed, {asked['skipped']} skipped, "
        f"{asked['unknown']} unknown"
    )
    _gaps(
        page,
        gaps,
        "What is listed above holds; that nothing else is to be found is not known:",
    )
    if report.readiness is not None:
        page.heading("readiness")
        _readiness(report.readiness, page)
    page.heading("what to do next")
    page.line(status.next, indent=2)
    for command in status.commands:
        page.command(command, indent=2)


def findings_line(report: wire.ByPolicy, page: Page) -> None:
    """Say how many findings there are, and what is to be done about exemptions."""
    counting = [finding for finding in report.findings if finding.suppressed is None]
    counts = Counter(finding.severity for finding in counting)
    found = ", ".join(f"{counts[s]} {s}" for s in _SEVERITIES if counts[s]) or "none"
    hidden = len(report.findings) - len(counting)
    page.line(f"Findings:  {found}{f'; {hidden} suppressed' if hidden else ''}")
    _warnings(page, report.exemptions)


def findings(report: wire.ByPolicy, page: Page) -> None:
    """Show what policies found, by policy, the worst first."""
    page.heading("findings")
    by_policy: dict[str, list[wire.FindingModel]] = {}
    for finding in report.findings:
        if finding.suppressed is None:
            by_policy.setdefault(finding.policy, []).append(finding)
    policies = {result.policy.id: result.policy for result in report.policies}
    order = sorted(by_policy, key=lambda p: (_SEVERITIES.index(policies[p].severity), p))
    for policy_id in order:
        _policy_findings(policies[policy_id], by_policy[policy_id], page)
    if not order:
        page.line("none")
    _suppressed(page, [f for f in report.findings if f.suppressed is not None])


def _suppressed(
    page: Page, found: Sequence[wire.FindingModel] | Sequence[wire.LintFindingModel]
) -> None:
    if not found:
        return
    page.heading("suppressed")
    grouped: dict[tuple[str, str], int] = {}
    for each in found:
        rule = each.policy if isinstance(each, wire.FindingModel) else each.rule
        known = each.suppressed
        if known is not None:
            who = f" by {known.owner}" if known.owner else ""
            until = f" until {known.expires}" if known.expires else ""
            why = f"{known.by}{who}{until}: {known.reason}"
            grouped[rule, why] = grouped.get((rule, why), 0) + 1
    for (rule, why), count in sorted(grouped.items()):
        page.line(f"- {counted(count, 'finding')} of {rule}: {why}", indent=2)


def _by(found: Iterable[str], options: Options) -> str:
    """Return chains that together allow what stands beside them."""
    return "; ".join(dict.fromkeys(found)) if options.verbose else first_of(found)


def _policy_findings(
    policy: wire.PolicyModel, findings: Sequence[wire.FindingModel], page: Page
) -> None:
    page.line()
    page.line(
        f"{policy.severity:<9}{policy.title} ({len(findings)})  [{policy.id}]",
        COLOURS[policy.severity],
    )
    groups: dict[str, list[wire.FindingModel]] = {}
    for finding in findings:
        groups.setdefault(finding.group, []).append(finding)
    limit = page.options.limit
    shown = list(groups.values())[:limit]
    for group in shown:
        page.line(f"- {group[0].message}", indent=9)
        others = sorted({f.namespace or "the whole cluster" for f in group[1:]})
        if others:
            page.line(f"  likewise in: {_scopes(others, page.options.fold)}", indent=9)
    if len(groups) > limit:
        page.line(f"… and {len(groups) - limit} more; -v shows all", indent=9)
    proven = [f for group in shown for f in (group if page.options.verbose else group[:1])]
    proof = _proof((grant for each in proven for grant in each.grants), limit)
    if proof.branches:
        page.line("proof:", indent=9)
        page.tree(proof, indent=11)
    page.line(f"fix: {policy.remediation}", indent=9)
    commands = list(dict.fromkeys(command for each in findings for command in each.commands))
    for command in commands[:limit]:
        page.command(command, indent=11)
    if len(commands) > limit:
        page.line(f"… and {len(commands) - limit} more; -v shows all", indent=11)


def _changes(
    report: wire.PlanReport | wire.DiffReport, rows: Sequence[wire.ChangeModel], page: Page
) -> None:
    """Print changes folded: one line for each subject, change, chains and set of actions."""
    roles = [" -> ".join(role.name for role in each.roles) for each in report.chains]
    folded: dict[tuple[str, str, str, str], list[str | None]] = {}
    for row in rows:
        actions = wire.actions_of(report, row)
        verbs = _verbs((each.verb, each.resource, each.subresource) for each in actions)
        for place in row.places:
            chained = [roles[number] for bound in place.bindings for number in bound.chains]
            key = (name(row.subject), row.change, verbs, _by(chained, page.options))
            folded.setdefault(key, []).append(place.namespace)
    page.table(
        ["CHANGE", "SUBJECT", "WHERE", "WHAT", "BY"],
        [
            (changed, subject, _scopes(namespaces, page.options.fold), verbs, by)
            for (subject, changed, verbs, by), namespaces in folded.items()
        ],
    )


def _extent(rows: Iterable[wire.ChangeModel], change: str) -> wire.ExtentModel:
    found = {
        (name(row.subject), place.namespace)
        for row in rows
        if row.change == change
        for place in row.places
    }
    return wire.ExtentModel(
        subjects=len({subject for subject, _ in found}), places=len({place for _, place in found})
    )


def _summary(lost: wire.ExtentModel, kept: wire.ExtentModel, gained: wire.ExtentModel) -> str:
    where = f" in {counted(lost.places, 'place')}" if lost.subjects else ""
    return (
        f"{counted(lost.subjects, 'subject')}{where} lose migration, "
        f"{kept.subjects or 'none'} keep it, {gained.subjects or 'none'} gain it"
    )


@_render.register
def _plan(report: wire.PlanReport, page: Page) -> None:
    page.line(
        f"Update:    {report.installed.label} to "
        f"{report.target} (KubeVirt {report.target_kubevirt})",
        "bold",
    )
    _input(page, report.coverage)
    rows = [row for row in report.changes if not row.reading]
    lost, kept, gained = (_extent(rows, change) for change in ("lost", "kept", "gained"))
    page.line(f"Summary:   {_summary(lost, kept, gained)}")
    _not_seen(page, report.gaps)
    _warnings(page, report.warnings)
    page.heading("what changes if nothing is done")
    shown = rows if page.options.verbose else [row for row in rows if row.change != "kept"]
    if shown:
        _changes(report, shown, page)
    else:
        page.line("nothing")
    if not page.options.verbose and kept.subjects:
        page.line(f"({counted(kept.subjects, 'subject')} keep what they have; -v shows them)")
    if report.related:
        page.heading("related: cancelling evacuations")
        _changes(report, report.related, page)
    page.heading("ways of dealing with it")
    page.table(
        ["", "STRATEGY", "KEEP BY IT", "LOSE ALL THE SAME", "GET MORE", "CAN HAND ON", "GAP"],
        [
            (
                "*" if strategy.recommended else "",
                f"{strategy.title} ({strategy.strategy})",
                str(len(strategy.reached)),
                str(len(strategy.missed)),
                str(len(strategy.more)),
                str(len(strategy.can_hand_on)),
                strategy.gap,
            )
            for strategy in report.strategies
        ],
    )
    page.line("* recommended")
    for strategy in report.strategies:
        _strategy(strategy, page)
    page.heading("what to do")
    if report.actions:
        page.line("The smallest set of bindings to kubevirt.io:migrate that keeps access:")
        page.table(
            ["SUBJECT", "WHERE"],
            [(name(a.subject), _scopes(a.namespaces, page.options.fold)) for a in report.actions],
        )
        page.line("Next: rbacguard generate with the same input, --to, and --out DIR")
    else:
        page.line("nothing: nobody who is not the platform's own loses migration")
    for platform in report.platform:
        page.line(
            f"Platform:  {name(platform.subject)} loses it too; no binding is proposed for it"
        )
    _gaps(page, report.gaps, "Whether these are all who lose or keep it is not known:")


def _strategy(strategy: wire.StrategyModel, page: Page) -> None:
    lines = [
        ("loses all the same", strategy.missed),
        ("gets more than before", strategy.more),
    ]
    if page.options.verbose:
        lines.append(("can hand it on", strategy.can_hand_on))
    if strategy.strategy == "none":
        return
    page.line()
    page.line(f"{strategy.title}", "bold")
    for title, reached in lines:
        if reached:
            some = reached if page.options.verbose else reached[:5]
            listed = ", ".join(
                f"{name(r.subject)} ({_scopes(r.namespaces, page.options.fold)})" for r in some
            )
            more = f", and {len(reached) - len(some)} more" if len(reached) > len(some) else ""
            page.line(f"{title}: {listed}{more}", indent=2)
    if strategy.caution:
        page.line(f"mind: {strategy.caution}", indent=2)
    if strategy.undo:
        page.line(f"undo: {strategy.undo}", indent=2)


@_render.register
def _verify(report: wire.VerifyReport, page: Page) -> None:
    verdict = {True: "clean", False: "not clean", None: "not known: the input does not suffice"}
    style = {True: "bold green", False: "bold red", None: "bold yellow"}
    page.line(f"Verdict:   {verdict[report.clean]}", style[report.clean])
    _input(page, report.coverage)
    _warnings(page, report.warnings)
    page.line()
    for check in report.checks:
        page.line(f"{check.result:<8} {check.title}  [{check.id}]", COLOURS[check.result])
        if check.result != "passed" or page.options.verbose:
            limit = len(check.details) if page.options.verbose else 10
            for detail in check.details[:limit]:
                page.line(f"- {detail}", indent=9)
            if len(check.details) > limit:
                page.line(f"… and {len(check.details) - limit} more; -v shows all", indent=9)
    if report.next:
        page.heading("what to do next")
        for number, step in enumerate(report.next, 1):
            page.line(f"{number}. {step}", indent=2)


def _asked(request: wire.RequestModel) -> str:
    where = {None: "in the whole cluster", "*": "anywhere"}.get(
        request.namespace, f"in namespace {request.namespace}"
    )
    if request.path:
        return f"{request.verb} {request.path}"
    words = (request.verb, request.resource, request.api_group, request.subresource)
    return " ".join(filter(None, (format_action(*words), request.name, where)))


@_render.register
def _who_can(report: wire.WhoCanReport, page: Page) -> None:
    page.line(
        f"Who can {_asked(report.request)}: {counted(len(report.subjects), 'subject')}", "bold"
    )
    _origin(page, report.origin)
    _warnings(page, report.notes)
    rows: dict[tuple[str, str], list[str | None]] = {}
    for grant in report.grants:
        rows.setdefault((name(grant.subject), chain(grant)), []).append(grant.namespace)
    named = {subject for subject, _ in rows}
    table = [
        (subject, _scopes(scopes, page.options.fold), chain_of)
        for (subject, chain_of), scopes in rows.items()
    ]
    outside = [
        (name(s), "(whole cluster)", "before RBAC is asked")
        for s in report.subjects
        if name(s) not in named
    ]
    page.table(["SUBJECT", "WHERE", "BY"], [*outside, *table])
    _gaps(page, report.gaps, "Those listed can; whether nobody else can is not known:")


@_render.register
def _can_i(report: wire.CanIReport, page: Page) -> None:
    answer = {True: "yes", False: "no", None: "unknown"}[report.allowed]
    style = {True: "bold green", False: "bold red", None: "bold yellow"}[report.allowed]
    page.line(f"{answer} - {report.reason}", style)
    page.line(f"{report.user} ({', '.join(report.groups)}) to {_asked(report.request)}")
    for grant in report.grants:
        page.line(f"- {name(grant.subject)}: {chain(grant)}", indent=2)
    _origin(page, report.origin)
    _warnings(page, report.notes)
    _gaps(page, report.gaps, "Nothing that was read allows it, but:")


def _by_chain(
    holder: wire.HolderModel, directness: str
) -> Mapping[str, tuple[list[wire.ActionModel], list[str | None]]]:
    """Return by chain which actions of a directness it allows, and where."""
    found: dict[str, tuple[set[int], dict[str | None, None]]] = {}
    for grant, allows in zip(holder.grants, holder.allows, strict=True):
        numbers = {number for number in allows if holder.actions[number].directness == directness}
        if numbers:
            known, scopes = found.setdefault(chain(grant), (set(), {}))
            known |= numbers
            scopes[grant.namespace] = None
    return {
        chained: ([holder.actions[number] for number in sorted(numbers)], list(scopes))
        for chained, (numbers, scopes) in found.items()
    }


@_render.register
def _explain(report: wire.ExplainReport, page: Page) -> None:
    page.line(f"{report.subject} is: " + ", ".join(name(i) for i in report.identities), "bold")
    _origin(page, report.origin)
    _warnings(page, report.notes)
    if report.identities and report.identities[0].kind == "Group":
        members = "not known" if report.members is None else ", ".join(report.members) or "nobody"
        page.line(f"Members: {members}")
    for directness in ("direct", "cancel", "indirect", "administrative"):
        rows: dict[tuple[str, str, str], list[str | None]] = {}
        for holder in report.holds:
            for chained, (actions, scopes) in _by_chain(holder, directness).items():
                verbs = _verbs((a.verb, a.resource, a.subresource) for a in actions)
                rows.setdefault((name(holder.subject), verbs, chained), []).extend(scopes)
        if rows:
            page.heading(directness)
            page.table(
                ["AS", "WHERE", "MAY", "BY"],
                [
                    (subject, _scopes(scopes, page.options.fold), verbs, chained)
                    for (subject, verbs, chained), scopes in rows.items()
                ],
            )
    if not report.holds:
        page.line("holds nothing that leads to a migration")
    else:
        page.heading("to revoke")
        for each in report.revoke:
            others = [name(other) for other in each.others]
            from_others = _scopes(others, page.options.fold)
            also = f" The binding has other subjects: {from_others}." if others else ""
            page.line(f"- {each.advice}{also}", indent=2)
            for command in each.commands:
                page.command(command, indent=4)
        if not report.revoke:
            page.line("- nothing: it cannot start a migration directly", indent=2)
    _gaps(page, report.gaps, "What is listed holds; whether it is all is not known:")


@_render.register
def _diff(report: wire.DiffReport, page: Page) -> None:
    page.line(f"Before: {report.before.label}")
    page.line(f"After:  {report.after.label}")
    for origin in report.origins:
        _origin(page, origin)
    page.line()
    if report.changes:
        _changes(report, report.changes, page)
    else:
        page.line("no change of access")
    _gaps(page, report.gaps, "One of the two was not read whole, so a change may be none:")


_RESULTS = {
    "audit": {"clean": "without findings", "findings": "with findings"},
    "plan": {"clean": "losing nothing", "findings": "losing access"},
    "verify": {"clean": "clean", "findings": "not clean"},
}
"""What a cluster's result is called: a plan that takes nothing away does not say 'clean'."""


@_render.register
def _fleet(report: wire.FleetReport, page: Page) -> None:
    page.line(f"Fleet:     {counted(report.clusters, 'cluster')}", "bold")
    words = _RESULTS[report.command]
    counts = [f"{count} {words.get(name, name)}" for name, count in report.results.items() if count]
    page.line(f"Results:   {', '.join(counts)}")
    if report.as_before:
        page.line(f"           {report.as_before} as in the run before, not read again")
    page.heading("where they are")
    page.table(
        ["STEP", "CLUSTERS", "WHICH"],
        [
            (each.step or "(not read)", str(len(each.clusters)), _scopes(each.clusters, 5))
            for each in report.steps
        ],
    )
    if report.lost:
        page.heading("who loses migration by the update")
        page.table(
            ["SUBJECT", "WHERE", "CLUSTERS", "WHICH"],
            [
                (name(each.subject), _scopes(each.namespaces, 3), *_clusters(each.clusters))
                for each in report.lost
            ],
        )
    if report.findings:
        page.heading("findings")
        _fleet_findings(report.findings, page)
    for title, problems in (
        ("not read whole: what is not listed there is not known", report.unknown),
        ("not read", report.failed),
    ):
        if problems:
            page.heading(title)
            page.table(
                ["CLUSTER", "WHY"], [(each.cluster, "; ".join(each.reasons)) for each in problems]
            )


def _fleet_findings(found: Sequence[wire.FleetFoundModel], page: Page) -> None:
    """Print what was found, a line for each rule, or for each finding."""
    if page.options.verbose:
        page.table(
            ["SEVERITY", "RULE", "CLUSTERS", "WHICH", "WHAT"],
            [(f.severity, f.rule, *_clusters(f.clusters), f.message) for f in found],
        )
        return
    rules: dict[tuple[str, str], list[wire.FleetFoundModel]] = {}
    for each in found:
        rules.setdefault((each.severity, each.rule), []).append(each)
    page.table(
        ["SEVERITY", "RULE", "FINDINGS", "CLUSTERS", "WHICH"],
        [
            (*key, str(len(same)), *_clusters(sorted({c for f in same for c in f.clusters})))
            for key, same in rules.items()
        ],
    )
    page.line("(-v shows each of them)")


def _clusters(names: Sequence[str]) -> tuple[str, str]:
    return str(len(names)), _scopes(names, 3)


@_render.register
def _rules(report: wire.RulesReport, page: Page) -> None:
    if len(report.policies) != 1:
        page.table(
            ["ID", "SEVERITY", "STAGE", "TITLE"],
            [(p.id, p.severity, p.stage, p.title) for p in report.policies],
        )
        return
    policy = report.policies[0]
    page.line(f"{policy.id}: {policy.title}", "bold")
    page.line(f"severity: {policy.severity}; asked: {policy.stage}; check: {policy.check}")
    if policy.where:
        page.line(f"where: {policy.where}")
    page.line()
    page.line(f"Why:  {policy.rationale}")
    page.line(f"Fix:  {policy.remediation}")
    for command in policy.commands:
        page.line(f"$ {command}", "bold", indent=6)


def _applier(page: Page, applier: wire.ApplierModel) -> None:
    if not applier.obstacles:
        page.line(f"{applier.user} may make everything that was generated")
        return
    page.heading(f"{applier.user} would be refused")
    for obstacle in applier.obstacles:
        page.line(f"- {name(obstacle.object)}: {obstacle.message}", indent=2)
        if obstacle.rule:
            rule = obstacle.rule
            names = f" named {', '.join(rule.resource_names)}" if rule.resource_names else ""
            where = f"namespace {obstacle.namespace}" if obstacle.namespace else "the whole cluster"
            granted = f"{', '.join(rule.verbs)} on {', '.join(rule.resources or [])}{names}"
            page.line(f"grant {granted}, in {where}", indent=4)


@_render.register
def _generate(report: wire.GenerateReport, page: Page) -> None:
    done = "written" if report.changed else "as they were, nothing changed"
    if report.differences is not None:
        count = len(report.differences)
        done = f"checked, {count} differ" if count else "are as they would be generated"
    page.line(f"{report.out}: {len(report.files)} files {done}", "bold")
    for difference in report.differences or ():
        page.line(f"! {difference}", "yellow", indent=2)
    for file in report.files:
        page.line(f"- {file}", indent=2)
    _origin(page, report.origin)
    _warnings(page, report.warnings)
    if report.reached:
        page.line(f"The role reaches {len(report.reached)} subjects; README.md lists them.")
    if report.approved:
        page.line("Next: review it, and commit the folder for the GitOps review")
    else:
        page.line("Nothing is approved yet. Next: review approvals.yaml, set approved: true where")
        page.line("it is right, and run generate again with --approvals")
    if report.applier is not None:
        _applier(page, report.applier)
    _gaps(page, report.gaps, "Somebody may be missing from these files:")


@_render.register
def _approvals(report: wire.ApprovalsReport, page: Page) -> None:
    counts = Counter(remark.weight for remark in report.remarks)
    found = ", ".join(f"{counts[w]} {w}" for w in ("error", "warning", "info") if counts[w])
    page.line(f"{report.file}: {found or 'nothing odd'}", "bold")
    _origin(page, report.origin)
    page.line(
        f"approved: {counted(len(report.approved), 'subject')}; "
        f"entries that are not: {report.undecided or 'none'}"
    )
    rows = [(r.weight, r.place, r.message, r.id) for r in report.remarks]
    if rows:
        page.line()
        page.table(["", "ENTRY", "WHAT", "ID"], rows)
    _gaps(page, report.gaps, "What is listed holds; whether it is all is not known:")


@_render.register
def _lint(report: wire.LintReport, page: Page) -> None:
    counting = [found for found in report.findings if found.suppressed is None]
    for found in counting:
        place = f"{found.file}:{found.line}:{found.column}"
        about = f"{name(found.object)}: " if found.object and found.object.name else ""
        page.line(f"{place}: {found.severity}: {about}{found.message} [{found.rule}]")
    if counting:
        page.line()
    _suppressed(page, [f for f in report.findings if f.suppressed is not None])
    _warnings(page, report.exemptions)
    for passed in report.passed_over:
        page.line(f"passed over {passed.file}: {passed.reason}", "dim")
    for missing in report.not_asked:
        page.line(f"not asked: {missing}", "yellow")
    files = counted(report.files, "file")
    if not report.objects and not report.findings:
        page.line(f"No RBAC object in {files}: nothing was checked", "yellow")
        return
    fixable = sum(found.fixable for found in counting)
    mended = f"; {report.fixed} fixed" if report.fixed else ""
    can = f", {fixable} of them --fix can mend" if fixable else ""
    page.line(
        f"{counted(len(counting), 'finding')}{can}{mended}; "
        f"{counted(report.objects, 'RBAC object')} in {files}, for Kubernetes {report.kubernetes}",
        "bold",
    )


@_render.register
def _compare(report: wire.CompareReport, page: Page) -> None:
    page.line(f"Before: {report.before.label}")
    page.line(f"After:  {report.after.label}")
    new, gone = counted(len(report.new), "new finding"), f"{len(report.gone)} gone"
    page.line(f"{new}, {gone}, {report.same} as before", "bold")
    for title, findings in (("new", report.new), ("gone", report.gone)):
        if findings:
            page.heading(title)
            for found in findings:
                page.line(f"- {found.severity}: {found.message} [{found.policy}]", indent=2)
    for title, subjects in (
        ("hold migration now", report.holders_new),
        ("held migration", report.holders_gone),
    ):
        if subjects:
            page.heading(title)
            for subject in subjects:
                page.line(f"- {name(subject)}", indent=2)
    _gaps(page, report.gaps, "One of the two was incomplete, so what is gone may be unread:")
