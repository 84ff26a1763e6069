"""The work of step `register`."""

from __future__ import annotations

from kedge.app.steps.register import RegisterOptions
from kedge.core.manifest import read_config, read_manifest
from kedge.core.step import Register, StepContext, StepResult
from kedge.data.read import read_dataset
from kedge.evaluate.report import read_evaluation, read_verdict
from kedge.registry.bundle import read_bundle
from kedge.registry.card import make_card, write_card
from kedge.registry.types import CardFacts, Named, Stated


def work(context: StepContext, options: RegisterOptions) -> StepResult:
    """Fill the card from the graph, and ask the application to register the bundle."""
    blobs = context.blobs
    digests = {port: artifact.digest for port, artifact in context.inputs.items()}
    card = make_card(
        CardFacts(
            model=options.model,
            named=Named(**{port: digests[port] for port in ("bundle", "model", "dataset", "evaluation")}),
            bundle=read_bundle(blobs, digests["bundle"]),
            manifest=read_manifest(blobs, digests["bundle"]),
            config=read_config(blobs, digests["model"]),
            dataset=read_dataset(blobs, digests["dataset"]),
            evaluation=read_evaluation(blobs, digests["evaluation"]),
            verdict=read_verdict(blobs, digests["verdict"]),
            runs=context.facts.get("runs", ()),
            stated=Stated(
                description=options.description,
                license=options.license,
                intended_use=options.intended_use,
                limitations=options.limitations,
                contact=options.contact,
            ),
        )
    )
    artifact = write_card(blobs, card)
    effect = Register(
        model=options.model,
        bundle=digests["bundle"],
        weights=digests["model"],
        card=artifact.digest,
        alias=options.alias,
    )
    return StepResult(outputs={"card": artifact}, metrics={"gaps": float(len(card.gaps))}, effects=(effect,))
