"""From anatomy and visit to an image: attenuation summed part by part, then the scanner.

Bright is dense, as on a reading room's screen. Everything is computed for a chunk of images at once, [n, H, W].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.phantoms.anatomy import N_VESSELS, Anatomy, Floats, Visit

# Per site: gain, contrast exponent, noise. The known scanner effect that an audit must be able to find.
SITE_GAIN = np.array([1.00, 0.93], dtype=np.float32)
SITE_GAMMA = np.array([1.00, 1.15], dtype=np.float32)
SITE_NOISE = np.array([0.010, 0.020], dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Field:
    """Coordinates of every pixel in the person's own frame, [n, H, W], and the edge width of one pixel."""

    x: Floats
    y: Floats
    pixel: float


def render(person: Anatomy, visit: Visit, *, size: int, rng: np.random.Generator) -> Floats:
    """Images [n, size, size] in [0, 1], one row of `person` and `visit` each."""
    field = _field(visit, size)
    lungs, depth = _lungs(person, visit, field)
    heart = _heart(person, visit, field)
    air = lungs * (1 - 0.9 * heart)  # the heart displaces the lung that is behind its silhouette
    body = _body(person, field)
    image = body * (0.66 + 0.08 * depth) - air * (0.36 + 0.12 * depth)
    image += body * (_mediastinum(person, field) + 0.06 * heart)
    image += air * _vessels(person, field)
    image += _bones(person, field, body, lungs)
    image += _breasts(person, field)
    image -= _stomach(person, visit, field)
    image += body * (0.007 + 0.012 * air) * _texture(person, field)
    image += air * _finding(person, visit, field)
    return _expose(image, person, visit, rng)


def _cell(values: Floats) -> Floats:
    return values[:, None, None]


def _step(distance: Floats, width: float | Floats) -> Floats:
    """0 outside, 1 inside, smooth over `width`; positive distances are inside."""
    scaled: Floats = np.clip(distance / width, -1, 1)
    return np.float32(0.5) + scaled * (np.float32(0.75) - np.float32(0.25) * scaled * scaled)


def _bump(square: Floats) -> Floats:
    return np.exp(-np.minimum(square, np.float32(30)))


def _field(visit: Visit, size: int) -> Field:
    ticks = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1).astype(np.float32)
    x = (ticks[None, None, :] - _cell(visit.shift_x)) / _cell(visit.zoom)
    y = (ticks[None, :, None] - _cell(visit.shift_y)) / _cell(visit.zoom)
    cos, sin = np.cos(_cell(visit.angle)), np.sin(_cell(visit.angle))
    return Field(x=cos * x + sin * y, y=cos * y - sin * x, pixel=2.0 / size)


def _body(person: Anatomy, field: Field) -> Floats:
    """Neck, sloping shoulders, torso."""
    torso = _cell(person.torso)
    shoulder = _step(field.y + 0.78, 0.22)
    half_width = 0.24 + (torso - 0.24) * shoulder + 0.25 * _step(field.y + 0.70, 0.16) * _step(-0.25 - field.y, 0.35)
    return _step(half_width - np.abs(field.x), 0.05)


def _lungs(person: Anatomy, visit: Visit, field: Field) -> tuple[Floats, Floats]:
    """Where the lungs are, and how thick the chest is there (0 at the rim to 1)."""
    side = np.sign(field.x)
    across = np.abs(field.x) + _cell(person.spine_bend) * side
    top = _cell(person.lung_top)
    down = (field.y - top) / (0.60 - top)
    bulge = np.sqrt(np.clip(1 - (1 - np.clip(down * 1.25, 0, 1)) ** 2, 0, 1))
    lateral = 0.16 + (_cell(person.lung_width) - 0.16 + 0.06 * np.clip(down, 0, 1.2)) * bulge
    medial = 0.10 + 0.05 * (1 - np.clip(down * 2, 0, 1))
    rim = _cell(person.diaphragm) + _cell(visit.breath) + 0.06 * (side > 0)
    centre = (across - 0.40) / 0.30
    dome = rim - _cell(person.dome) * (1 - np.clip(centre, -1.2, 1.4) ** 2) + 0.10 * np.clip(across - 0.5, 0, 1)
    edge = 1.5 * field.pixel + 0.015
    inside = _step(lateral - across, edge + 0.01) * _step(across - medial, edge) * _step(dome - field.y, edge)
    lungs = inside * _step(field.y - top, 0.06)
    depth = np.sqrt(np.clip(1 - ((across - 0.36) / 0.36) ** 2, 0, 1)) * np.clip(0.4 + down, 0, 1)
    return lungs, depth


def _mediastinum(person: Anatomy, field: Field) -> Floats:
    """Spine with its vertebrae, great vessels, aortic knob, and the air of the trachea."""
    x = field.x + _cell(person.spine_bend) * np.sin(3 * field.y)
    vertebrae = 0.85 + 0.15 * np.cos(2 * np.pi * field.y / 0.13)
    spine: Floats = 0.09 * _bump((x / 0.085) ** 4) * vertebrae
    vessels = 0.08 * _bump((x / 0.15) ** 4) * _step(field.y + 0.75, 0.3)
    knob = 0.16 * _bump(((x - 0.14) ** 2 + (field.y + 0.34) ** 2) / _cell(person.aortic_knob) ** 2)
    trachea = 0.12 * _bump((x / 0.045) ** 2) * _step(-0.30 - field.y, 0.12)
    return spine + vessels + knob - trachea


def _heart(person: Anatomy, visit: Visit, field: Field) -> Floats:
    """A tilted egg on the person's left, its silhouette against the lungs."""
    x = field.x - _cell(person.heart_x)
    y = field.y - 0.30 - 0.5 * _cell(visit.breath)
    tilt = _cell(person.heart_tilt)
    along, across = x * np.sin(tilt) + y * np.cos(tilt), x * np.cos(tilt) - y * np.sin(tilt)
    width = _cell(person.heart_width)
    radius = np.sqrt((across / width) ** 2 + (along / (width * 1.30)) ** 2)
    return _step(1 - radius, 0.16)


def _vessels(person: Anatomy, field: Field) -> Floats:
    """Branches fanning out of each hilum, fading towards the rim."""
    total: Floats = np.zeros_like(field.x)
    for side, columns in ((-1.0, slice(0, N_VESSELS)), (1.0, slice(N_VESSELS, 2 * N_VESSELS))):
        x, y = side * field.x - 0.17, field.y + 0.04
        radius = np.sqrt(x * x + y * y) + 1e-3
        angle = np.arctan2(y, x)
        near = _step(x + 0.12, 0.10)
        fade = np.exp(-radius / 0.28)
        total += near * 0.14 * _bump((radius / 0.13) ** 2)
        for no in range(columns.start, columns.stop):
            turn = angle - _cell(person.vessel_angle[:, no]) - _cell(person.vessel_bend[:, no]) * radius
            total += near * 0.17 * fade * _bump((turn * (radius + 0.03) / (0.018 + 0.5 * field.pixel)) ** 2)
    return total


def _bones(person: Anatomy, field: Field, body: Floats, lungs: Floats) -> Floats:
    """Ribs from behind and in front over the chest, and the two clavicles."""
    across = np.abs(field.x)
    spacing, phase = _cell(person.rib_spacing), _cell(person.rib_phase)
    behind = (field.y + 0.60 * (across - 0.30) ** 2 - 0.28 * across) / spacing + phase
    front = (field.y - _cell(person.rib_slope) * (0.62 - across) + 0.5 * (across - 0.5) ** 2) / spacing + phase + 0.45
    cage = _step(0.74 - across, 0.06) * _step(across - 0.09, 0.05) * _step(field.y + 0.80, 0.08)
    cage = cage * _step(0.62 - field.y, 0.2) * body
    ribs = 0.095 * _rib_profile(behind) + 0.055 * _rib_profile(front) * _step(across - 0.22, 0.08)
    tilt: Floats = _cell(person.clavicle_tilt)
    line = field.y + 0.60 + tilt * (across - 0.1) + 0.06 * np.sin(5.5 * (across - 0.1))
    clavicle = 0.13 * _step(0.042 - np.abs(line), 0.025) * _step(across - 0.07, 0.04) * _step(0.80 - across, 0.08)
    bone: Floats = _cell(person.bone) * (ribs * cage * (0.30 + 0.70 * lungs) + clavicle * body)
    return bone


def _rib_profile(phase: Floats) -> Floats:
    """A bar in 45 % of each period with brighter edges, as a tube of cortical bone projects."""
    wave: Floats = np.cos(2 * np.pi * phase)
    bar = _step(wave - 0.15, 0.35)
    return bar * (0.75 + 0.25 * (1 - np.clip(wave, 0, 1)))


def _breasts(person: Anatomy, field: Field) -> Floats:
    across = (np.abs(field.x) - 0.46) / 0.30
    radius = np.sqrt(across**2 + ((field.y - 0.28) / 0.30) ** 2)
    shade: Floats = _cell(person.female) * 0.085 * _step(1 - radius, 0.30)
    return shade


def _stomach(person: Anatomy, visit: Visit, field: Field) -> Floats:
    """The air bubble under the left dome."""
    y = field.y - _cell(person.diaphragm) - _cell(visit.breath) - 0.06
    bubble: Floats = _cell(person.stomach_bubble) * _bump(((field.x - 0.38) / 0.13) ** 2 + (y / 0.07) ** 2)
    return bubble


def _texture(person: Anatomy, field: Field) -> Floats:
    """The person's own soft pattern: a sum of plane waves, so that it moves with the person."""
    total = np.zeros_like(field.x)
    for no in range(person.texture_x.shape[1]):
        waves = _cell(person.texture_x[:, no]) * field.x + _cell(person.texture_y[:, no]) * field.y
        total += np.cos(np.float32(2 * np.pi) * waves + _cell(person.texture_phase[:, no]))
    return total


def _finding(person: Anatomy, visit: Visit, field: Field) -> Floats:
    """A round nodule or a ragged opacity at its place in one lung."""
    x = person.finding_side * (0.16 + (person.lung_width - 0.18) * person.finding_x)
    y = person.lung_top + (person.diaphragm - person.dome - person.lung_top) * person.finding_y
    square = (field.x - _cell(x)) ** 2 + (field.y - _cell(y)) ** 2
    scaled = np.sqrt(square) / _cell(person.finding_size)
    nodule = _step(1 - scaled, 0.45)
    ragged = np.clip(1 + 0.22 * _texture(person, field), 0, 2)
    opacity = _bump(scaled**2 * 0.9) * ragged
    shade = np.where(_cell(person.finding) == 1, nodule, opacity) * (_cell(person.finding) > 0)
    strength: Floats = _cell(person.finding_contrast * visit.visible) * shade
    return strength


def _expose(image: Floats, person: Anatomy, visit: Visit, rng: np.random.Generator) -> Floats:
    site = person.site.astype(np.intp)
    signal = np.clip(image * _cell(visit.exposure * SITE_GAIN[site]) * 1.05, 0, 1.3)
    signal = np.where(signal > 0.75, 0.75 + 0.25 * np.tanh((signal - 0.75) / 0.25), signal)
    signal = signal ** _cell(visit.gamma * SITE_GAMMA[site])
    noise = rng.standard_normal(image.shape, dtype=np.float32) * _cell(SITE_NOISE[site]) * (0.5 + signal)
    exposed: NDArray[np.float32] = np.clip(signal + noise, 0, 1).astype(np.float32)
    return exposed
