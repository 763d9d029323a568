"""The words of every measurement: a title, and a sentence for either finding. Functions over them: `wording`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Words:
    """Templates over a measurement's figures, `value`, `low`, `high`, `baseline`, and its `reason`."""

    title: str
    detected: str
    not_detected: str
    percent: bool = False


_SHARE = "{value} against {baseline} for real images"
WORDS: Mapping[str, Words] = {
    "arms.identical_images": Words(
        title="The same image in train and in an unseen arm",
        detected="{value} of the unseen images are training images; they were left out of every audit.",
        not_detected="No unseen image equals a training image.",
        percent=True,
    ),
    "arms.constant_images": Words(
        title="Images without content",
        detected="{value} of all images have a single pixel value.",
        not_detected="Every image has content.",
        percent=True,
    ),
    "arms.jpeg_history": Words(
        title="Compression unlike that of the training images",
        detected="An arm was compressed otherwise: AUC {value}, where 0.50 is alike. Figures may show that alone.",
        not_detected="No arm was compressed otherwise than the training images.",
    ),
    "nearest_copies.copy_rate": Words(
        title="Copies of training images",
        detected="Copies were found: {low} to {high} of the synthetic images, beyond what real unseen images give.",
        not_detected="Copies were not detected above {high} of the synthetic images at 95 % confidence.",
        percent=True,
    ),
    "memorisation.copy_rate": Words(
        title="Copies of training images, also turned, cropped, bent or inverted",
        detected="Copies were found: {low} to {high} of the synthetic images, beyond what real unseen people give.",
        not_detected="Copies were not detected above {high} of the synthetic images at 95 % confidence.",
        percent=True,
    ),
    "re_identification.linked_rate": Words(
        title="People linked to other visits of theirs",
        detected="Training people were recognised: in {low} to {high} of the synthetic images, beyond unseen people.",
        not_detected="Nobody was recognised in more than {high} of the synthetic images, at 95 % confidence.",
        percent=True,
    ),
    "membership_inference.nearest": Words(
        title="Who was in the training data (nearest image)",
        detected="Members can be told from other people: AUC {value}, where 0.50 is guessing.",
        not_detected="Membership was not detected: AUC at most {high} at 95 % confidence, where 0.50 is guessing.",
    ),
    "membership_inference.density_ratio": Words(
        title="Who was in the training data (density ratio)",
        detected="Members can be told from other people: AUC {value}, where 0.50 is guessing.",
        not_detected="Membership was not detected: AUC at most {high} at 95 % confidence, where 0.50 is guessing.",
    ),
    "weights_membership.loss": Words(
        title="Who was in the training data, told from the weights (loss)",
        detected="The weights tell members from other people: AUC {value}, where 0.50 is guessing.",
        not_detected="Membership was not detected: AUC at most {high} at 95 % confidence, where 0.50 is guessing.",
    ),
    "weights_membership.lira": Words(
        title="Who was in the training data, told from the weights (against shadow generators)",
        detected="The weights tell members from other people: AUC {value}, where 0.50 is guessing.",
        not_detected="Membership was not detected: AUC at most {high} at 95 % confidence, where 0.50 is guessing.",
    ),
    "linkability.metadata": Words(
        title="Joining two records of one person by the metadata",
        detected="Two records of a member are joined more often than those of others: by {value}, {low} to {high}.",
        not_detected="Not detected for more than {high} of the members beyond other people, at 95 % confidence.",
        percent=True,
    ),
    "quasi_identifiers.smallest_k": Words(
        title="People who share sex, age group and site (k)",
        detected="Somebody shares them with fewer than ten others.",
        not_detected="Everybody shares them with at least ten others.",
    ),
    "dp_claim.empirical_epsilon_lower_bound": Words(
        title="The privacy claim (epsilon)",
        detected="The code hides people less than its card says: epsilon claimed {baseline}, found at least {value}.",
        not_detected="No excess was found: epsilon claimed {baseline}, canaries show at least {value}.",
    ),
    "dp_claim.clipping": Words(
        title="Each person's part is clipped on its own",
        detected="One person moves a training step by at least {value} clipping norms, where 1 is claimed.",
        not_detected="No person was found to move a training step by more than the clipping norm.",
    ),
    "dp_claim.sampler": Words(
        title="Who takes part in a training step",
        detected="People are not drawn as the accounting assumes: {value} a step, where {baseline} is claimed.",
        not_detected="People are drawn as the accounting assumes: {value} a step, where {baseline} is claimed.",
        percent=True,
    ),
    "dp_claim.one_run_dirac": Words(
        title="The privacy claim in one training run (every step seen)",
        detected="More was told of the canaries than the claim allows: at least {value}, claimed {baseline}.",
        not_detected="No excess was found: epsilon claimed {baseline}, one run shows at least {value}.",
    ),
    "dp_claim.one_run_patch": Words(
        title="The privacy claim in one training run (finished weights seen)",
        detected="More was told of the canaries than the claim allows: at least {value}, claimed {baseline}.",
        not_detected="No excess was found: epsilon claimed {baseline}, one run shows at least {value}.",
    ),
    "dp_claim.record": Words(
        title="The card against the log of steps",
        detected="The log of steps costs epsilon {value}; the card claims {baseline}.",
        not_detected="The log of steps costs epsilon {value}, as the card claims.",
    ),
    "manifold.precision": Words(
        title="Realism (precision)",
        detected=f"Fewer synthetic images look real than should: {_SHARE}.",
        not_detected=f"As many look real as real images do: {_SHARE}.",
        percent=True,
    ),
    "manifold.recall": Words(
        title="Variety (recall)",
        detected=f"Part of the real variety is missing: {_SHARE}.",
        not_detected=f"The real variety is there: {_SHARE}.",
        percent=True,
    ),
    "manifold.density": Words(
        title="Realism, robust to outliers (density)",
        detected=f"Synthetic images crowd less around real ones: {_SHARE}.",
        not_detected=f"Synthetic images lie among real ones: {_SHARE}.",
    ),
    "manifold.coverage": Words(
        title="Variety, robust to outliers (coverage)",
        detected=f"Real images without a synthetic neighbour: coverage {_SHARE}.",
        not_detected=f"Real images have synthetic neighbours: coverage {_SHARE}.",
        percent=True,
    ),
    "kernel_distance.mmd": Words(
        title="Distance from the real images as a whole",
        detected="Synthetic images differ from real ones: {value}, real images among themselves {baseline}.",
        not_detected="No more apart than real images are: {value}, real among themselves {baseline}.",
    ),
    "frechet_distance.squared": Words(
        title="Distance from the real images in mean and spread",
        detected="Synthetic images differ from real ones: {value}, real images among themselves {baseline}.",
        not_detected="No more apart than real images are: {value}, real among themselves {baseline}.",
    ),
    "vendi_score.kinds": Words(
        title="How many different kinds of image there are",
        detected="Kinds of image are missing: {value} in effect, where as many real images hold {baseline}.",
        not_detected="As many kinds as among real images: {value} in effect, real ones hold {baseline}.",
    ),
    "spectrum_distance.decibels": Words(
        title="Sharpness and noise (power spectrum)",
        detected="Too much or too little fine detail: up to {value} dB away, real among themselves {baseline} dB.",
        not_detected="As sharp and as noisy as real images: {value} dB away, real among themselves {baseline} dB.",
    ),
    "texture_distance.local_patterns": Words(
        title="Local texture",
        detected="{value} of the pixels would have to change their texture; real among themselves {baseline}.",
        not_detected="The texture is that of real images: {value} of the pixels differ, among real ones {baseline}.",
        percent=True,
    ),
    "texture_distance.grey_levels": Words(
        title="Grey levels",
        detected="Grey levels lie {value} of white away from real ones; real among themselves {baseline}.",
        not_detected="Grey levels are those of real images: {value} of white away, among real ones {baseline}.",
        percent=True,
    ),
    "diversity.ms_ssim": Words(
        title="Diversity (likeness of two images)",
        detected="Synthetic images are too much alike: MS-SSIM {value}, two real ones {baseline}.",
        not_detected="Two synthetic images differ as two real ones do: MS-SSIM {value} against {baseline}.",
    ),
    "detectability.auditor": Words(
        title="How easily synthetic images are told from real ones (on site)",
        detected="They are recognised: AUC {value}, real images among themselves {baseline}.",
        not_detected="They were not told apart: AUC {value}, at most {high}, where 0.50 is guessing.",
    ),
    "detectability.receiver": Words(
        title="How easily a receiver tells synthetic from real images, taught on public images alone",
        detected="A receiver's detector recognises them: AUC {value}, real images among themselves {baseline}.",
        not_detected="A receiver's detector did not tell them apart: AUC {value}, at most {high}, 0.50 is guessing.",
    ),
    "mark_detection.any": Words(
        title="Traceability: the mark in the images",
        detected="The mark is lost: {value}.",
        not_detected="The mark is found: {value}.",
    ),
    "mark_detection.real_images": Words(
        title="Traceability: marks found in real images, which bear none",
        detected="The detector finds marks in {value} of the real images, {low} to {high}.",
        not_detected="No mark was found in real images: at most {high} of them, at 95 % confidence.",
        percent=True,
    ),
    "mix_curve.auc_difference": Words(
        title="Synthetic images added to real ones",
        detected="They harm from some share on: {reason}.",
        not_detected="No harm: {reason}.",
    ),
    "mix_curve.rarest_sensitivity_difference": Words(
        title="Synthetic images added to real ones, for the rarest label",
        detected="They harm from some share on: {reason}.",
        not_detected="No harm: {reason}.",
        percent=True,
    ),
    "train_on_synthetic.auc": Words(
        title="Learning from synthetic images",
        detected="A classifier trained on them reaches AUC {value} on real people; real training gives {baseline}.",
        not_detected="A classifier trained on them reaches AUC {value} on real people; real training gives {baseline}.",
    ),
    "train_on_synthetic.auc_difference": Words(
        title="What is lost against real training",
        detected="Training on synthetic images costs AUC: the difference lies between {low} and {high}.",
        not_detected="No loss of AUC detected; the difference lies between {low} and {high}.",
    ),
}
_GAP = Words(
    title="Gap by {grouping}",
    detected="One group is served worse: the gap in AUC is {value}; real training differs by {baseline} there.",
    not_detected="No gap detected: {value} in AUC, at most {high}; real training differs by {baseline} there.",
)
_MIX = Words(
    title="Mix of labels by {grouping}",
    detected="The mix of labels changed by up to {value}; real unseen people differ by {baseline}.",
    not_detected="No change of the mix detected: up to {value}; real unseen people differ by {baseline}.",
    percent=True,
)
_ERRORS = Words(
    title="Gap in recognised findings by {grouping}",
    detected="One group's findings are missed more often: the gap is {value}; real training differs by {baseline}.",
    not_detected="No gap detected: {value}, at most {high}; real training differs by {baseline} there.",
    percent=True,
)
_CELL_REALISM = Words(
    title="Realism by {grouping} (density)",
    detected="One group's synthetic images fall shorter of real ones, by {value}; real images differ by {baseline}.",
    not_detected="No group falls shorter than another: {value} apart, at most {high}; real images {baseline}.",
)
_CELL_VARIETY = Words(
    title="Variety by {grouping} (coverage)",
    detected="One group's variety falls shorter of real images, by {value}; real images differ by {baseline}.",
    not_detected="No group falls shorter than another: {value} apart, at most {high}; real images {baseline}.",
    percent=True,
)
_ATTRIBUTE = Words(
    title="What the set tells of a member whose image is known: {grouping}",
    detected="The set gives it away for {value} of the members beyond other people, {low} to {high}.",
    not_detected="Not detected for more than {high} of the members beyond other people, at 95 % confidence.",
    percent=True,
)
_SINGLING_OUT = Words(
    title="Rare rows of the metadata that point at one person ({grouping})",
    detected="Rare rows point at one member: {value} of the guesses are right beyond chance, {low} to {high}.",
    not_detected="Not detected for more than {high} of the guesses beyond chance, at 95 % confidence.",
    percent=True,
)
_RARE_CELL = Words(
    title="Copies among draws of the rarest {grouping}",
    detected="Copies were found: {low} to {high} of the draws, beyond what real unseen people give.",
    not_detected="Copies were not detected above {high} of the draws at 95 % confidence.",
    percent=True,
)
_MARK = Words(
    title="Traceability: the mark in the images ({grouping})",
    detected="The mark is lost: found in {value} of the images, {low} to {high} ({reason}).",
    not_detected="The mark is found in {value} of the images, at least {low} at 95 % confidence ({reason}).",
    percent=True,
)
PREFIXES: Mapping[str, Words] = {
    "group_gaps.tpr.": _ERRORS,
    "group_gaps.": _GAP,
    "label_shares.": _MIX,
    "cell_fidelity.density.": _CELL_REALISM,
    "cell_fidelity.coverage.": _CELL_VARIETY,
    "attribute_inference.": _ATTRIBUTE,
    "singling_out.": _SINGLING_OUT,
    "rare_cell_extraction.": _RARE_CELL,
    "mark_detection.": _MARK,
}
