"""An example of each command, as it is typed: the last lines of its help."""

import click

O_ID = "0192f2c6-8a4e-7000-8000-000000000001"
FINGERPRINT = "0f1e2d3c4b5a6978"
EXAMPLES = {
    "audit export": ("--since 2026-11-01T00:00:00Z > acts.jsonl",),
    "audit list": ("--target 'host hooks.example.com'", "--actor ada --limit 50"),
    "audit verify": ("",),
    "bulk abort": ("7",),
    "bulk cancel": ("--tag create_project --state pending --dry-run",),
    "bulk drop": ("--host old.example.com --state pending --reason 'switched off'",),
    "bulk list": ("",),
    "bulk run": ("7",),
    "bulk show": ("7 --json",),
    "bulk rerun": ("--state failed --since 14:00 --error timed_out --rate 600",),
    "bulk redeliver": ("--state dead --since 2h --dry-run",),
    "callers add": ("jira", "zammad --network 10.20.0.0/16 --expires-days 365"),
    "callers add-key": ("jira --scope orders --tag create_project",),
    "callers keys": ("jira",),
    "callers list": ("",),
    "callers revoke": ("jira --reason 'no longer used'",),
    "callers revoke-key": ("kwo_1a2b3c --reason 'in a ticket'",),
    "callers rotate-key": ("jira --overlap-hours 24",),
    "callers rotate-secret": ("jira --overlap-hours 24",),
    "callers set": ("jira --listed --max-running 20",),
    "config check": ("",),
    "config show": ("--json",),
    "copy": ("--to postgresql+psycopg://kernel:PASSWORD@db/kernel --check",),
    "deliveries list": ("--state dead --limit 50",),
    "deliveries pause": (
        "--host hooks.example.com --for 2h --reason maintenance",
        "--caller jira --receiver desk --until 06:00",
    ),
    "deliveries pauses": ("",),
    "deliveries redeliver": (f"{O_ID} --reason 'receiver mended'",),
    "deliveries replay": ("--since 2h", "--host hooks.example.com --rate 300 --yes"),
    "deliveries resume": ("--host hooks.example.com",),
    "deliveries show": (O_ID,),
    "demo": ("",),
    "dispatcher": ("",),
    "errors list": ("", "--state all --tag create_project"),
    "errors reopen": (FINGERPRINT,),
    "errors resolve": (f"{FINGERPRINT} --reason 'mended in 1.4.1'",),
    "errors show": (FINGERPRINT,),
    "limits clear": ("create_project",),
    "limits list": ("",),
    "limits set": ("create_project --concurrency 4 --rate 30/m",),
    "listen": ("", "--port 9000 --status 503"),
    "migrate": ("", "--check"),
    "openapi": ("--server https://kernel.example.net > openapi.json",),
    "orders cancel": (f"{O_ID} --reason 'asked by phone'",),
    "orders erase": ("--caller jira --reference INC0012345 --reason 'asked by the person'",),
    "orders events": (O_ID,),
    "orders find": ("INC0012345",),
    "orders list": ("--state failed --limit 50",),
    "orders pause": (
        "--tag create_project --for 2h --reason 'the hypervisor is full'",
        "--caller jira",
    ),
    "orders pauses": ("",),
    "orders rerun": (f"{O_ID} --from password",),
    "orders resume": ("--tag create_project",),
    "orders show": (O_ID,),
    "orders submit": ("order.json --wait", "--tag create_project --arg projname=x --no-callback"),
    "orders tell": (f'{O_ID} approved --data \'{{"by": "ada"}}\'',),
    "orders watch": (O_ID,),
    "people add": ("ada --role operator",),
    "people list": ("",),
    "people remove": ("ada",),
    "people sessions": ("",),
    "people set": ("ada --role viewer",),
    "receivers add": (
        "desk --caller jira --url https://desk.example.com/api/",
        "ops --caller jira --url https://hooks.slack.com/services/ --profile slack",
    ),
    "receivers adopt": ("jira",),
    "receivers list": ("--caller jira",),
    "receivers remove": ("desk --caller jira",),
    "receivers set": ("desk --caller jira --timeout 20 --give-up 2d",),
    "receivers show": ("desk --caller jira",),
    "receivers stats": ("--span day",),
    "receivers test": ("desk --caller jira --reference INC0012345",),
    "schedules add": (
        "nightly --caller jira --cron '0 2 * * *' --zone Europe/Berlin --tag report",
    ),
    "schedules list": ("",),
    "schedules pause": ("nightly",),
    "schedules remove": ("nightly",),
    "schedules resume": ("nightly",),
    "schedules run-now": ("nightly --reason CHG-4711",),
    "schedules set": ("nightly --cron '30 2 * * 1-5' --catch-up 4h",),
    "schedules show": ("nightly",),
    "secrets new-key": ("--file secrets.key",),
    "secrets rotate": ("",),
    "secrets status": ("",),
    "status": ("", "--json"),
    "sweep": ("--rescue",),
    "top": ("", "--once"),
    "trends": ("--span day --tag create_project",),
    "up": ("",),
    "worker": ("--concurrency 4",),
    "workers drain": ("node-3.example --reason 'more memory'",),
    "workers list": ("", "--json"),
    "workers resume": ("node-3.example",),
    "workers terminate": ("01a226bb78f07a657afac508 --reason 'hangs for an hour'",),
}


def with_examples(command: click.Command, path: str) -> click.Command:
    """Give the command called ``path``, or each of a group, its examples as the end of its help."""
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            with_examples(one, f"{path} {name}")
    elif path in EXAMPLES:
        lines = "\n".join(f"  kernel {path} {given}".rstrip() for given in EXAMPLES[path])
        command.epilog = f"\b\nExample:\n{lines}"
    return command
