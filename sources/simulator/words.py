"""The topics of each kind of world, and the words their items are described with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sources.simulator.world_spec import WorldKind

# Topic -> its words, equally many for each. A text is mostly words of the item's topics, so that these can be found.
TOPIC_WORDS: Final[Mapping[WorldKind, Mapping[str, str]]] = {
    WorldKind.SHOP: {
        "kitchen": "kettle saucepan whisk skillet teapot grater ladle colander oven spatula",
        "garden": "trowel hose planter secateurs seedling compost rake greenhouse trellis mulch",
        "running": "trainers stopwatch pace marathon singlet cadence stride hydration lap insole",
        "cycling": "pedal derailleur saddle helmet crankset handlebar spoke bidon chainring pannier",
        "camping": "tent lantern stove groundsheet hammock rucksack campfire mattress flask peg",
        "music": "guitar amplifier metronome plectrum keyboard microphone drumstick tuner strings cymbal",
        "photo": "lens tripod shutter aperture flashgun filter darkroom gimbal viewfinder film",
        "computers": "laptop keyboard monitor router processor memory webcam charger headset dock",
        "toys": "puzzle blocks puppet dice kite marbles teddy railway crayons dollhouse",
        "books": "novel paperback atlas anthology memoir bookmark dictionary thriller poetry biography",
        "beauty": "lipstick serum mascara perfume cleanser balm brush lotion foundation toner",
        "fashion": "jacket scarf cardigan denim blouse loafers belt raincoat pullover dress",
        "pets": "leash kibble aquarium birdcage collar litter catnip kennel hamster harness",
        "tools": "hammer drill spanner chisel sandpaper screwdriver pliers vice saw level",
        "tea": "oolong jasmine sencha matcha darjeeling infuser rooibos camomile assam pu-erh",
        "decor": "cushion candle vase curtain mirror rug lampshade frame tapestry ornament",
    },
    WorldKind.ARTICLES: {
        "politics": "parliament coalition minister ballot senate amendment opposition decree mandate caucus",
        "economy": "inflation exports tariff deficit payroll growth treasury surplus recession output",
        "markets": "shares bonds dividend futures broker index yield takeover hedge portfolio",
        "football": "striker penalty goalkeeper midfield derby offside transfer league header coach",
        "tennis": "serve backhand tiebreak racket baseline volley seed umpire deuce slam",
        "science": "telescope genome particle experiment fossil enzyme orbit laboratory theorem neutron",
        "health": "vaccine clinic surgeon diagnosis therapy symptom hospital nutrition allergy trial",
        "climate": "glacier emissions drought carbon flood heatwave wildfire ocean monsoon rainfall",
        "technology": "software chip startup encryption robot battery satellite algorithm sensor network",
        "film": "director premiere screenplay sequel actor festival trailer studio documentary comedy",
        "music": "album concert orchestra singer chorus opera vinyl lyrics tour quartet",
        "travel": "airport itinerary beach hostel passport ferry museum island railway guidebook",
        "food": "recipe chef vineyard bakery cheese harvest restaurant spice broth dessert",
        "crime": "detective verdict burglary suspect prosecutor witness forensics prison alibi fraud",
        "education": "teacher curriculum scholarship campus exam pupil lecture tuition literacy faculty",
        "housing": "mortgage tenant landlord architect suburb rent planning renovation estate balcony",
    },
}
N_TOPICS: Final = 16
# Words that say nothing of a topic.
COMMON_WORDS: Final = (
    "today people good made found long many often small great every whole early known simple still first kept"
)
MANNERS: Final = (
    "Plain Bright Quiet Northern Classic Modern Little Grand Honest Slow Swift Golden Silver Green Blue Old New"
)
WORDS_PER_TEXT: Final = 30
# Of a text's words, how many speak of its topics.
TOPIC_WORD_SHARE: Final = 0.7


def words_of(kind: WorldKind) -> list[list[str]]:
    """The words of each topic, in the order of the topics' numbers."""
    return [words.split() for words in TOPIC_WORDS[kind].values()]


def topics_of(kind: WorldKind) -> tuple[str, ...]:
    """The names of the topics, in the order of their numbers."""
    return tuple(TOPIC_WORDS[kind])
