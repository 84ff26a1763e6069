"""Several gateway processes on one ledger: what they let in together, and what a killed one leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kedge.app.project import open_project

FILE = '[project]\nname = "shared"\n'

SPENDER = """
import asyncio, sys
from kedge.app.project import open_project
from kedge.core.access import Allowance, Key, Scope, Terms
from kedge.core.settings import Prices
from kedge.serve.gateway.budgets import Budgets
from kedge.serve.gateway.errors import ApiError
from kedge.serve.gateway.meters import Spend

project = open_project(sys.argv[1])
allowance = Allowance(tokens=5000, money=0.004, requests_per_minute=0)
key = Key(id="k", name="k", hash="h", scopes=(Scope.ASK,), created=project.clock.now(), by="x",
          terms=Terms(tenant="acme", allowance=allowance))
budgets = Budgets(project.ledger.usage, clock=project.clock, holder=sys.argv[2], defaults=Allowance(),
                  tenants={"acme": Allowance(tokens=4000)})

async def main():
    tokens = money = refused = 0
    purse = budgets.purse(key)
    while refused < 5:
        try:
            ticket = await budgets.take(purse, Spend(tokens=40, money=30, estimate=0))
        except ApiError:
            refused += 1
            continue
        budgets.settle(ticket, Spend(tokens=23, money=17, estimate=0))
        tokens, money = tokens + 23, money + 17
    if sys.argv[3] == "ends":
        await budgets.tidy(idle=0.0)
    print(tokens, money)

asyncio.run(main())
"""


def test_processes_together_never_spend_more_than_the_budget_and_nearly_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").write_text(FILE)
    project = open_project(tmp_path)
    project.ledger.usage.used()
    commands = [[sys.executable, "-c", SPENDER, str(tmp_path), str(number), "ends"] for number in range(3)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    spent = [tuple(map(int, process.communicate(timeout=120)[0].split())) for process in processes]
    assert all(process.returncode == 0 for process in processes)
    tokens, money = sum(each[0] for each in spent), sum(each[1] for each in spent)
    assert 3500 <= tokens <= 4000  # the tenant's budget is the smaller one
    assert money <= 4000
    reserved = {used.account: used.units for used in project.ledger.usage.used()}
    assert reserved == {
        "key:k/money-per-month": money,
        "key:k/tokens-per-month": tokens,
        "tenant:acme/tokens-per-month": tokens,
    }
    project.close()


def test_a_process_that_dies_takes_what_it_had_reserved_with_it_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").write_text(FILE)
    project = open_project(tmp_path)
    command = [sys.executable, "-c", SPENDER, str(tmp_path), "a", "dies"]
    spent = int(subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout.split()[0])
    reserved = {used.account: used.units for used in project.ledger.usage.used()}
    assert spent <= reserved["tenant:acme/tokens-per-month"] <= 4000
    project.close()
