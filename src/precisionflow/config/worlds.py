"""Worlds to plan in: a T-maze, a frozen lake, a grid with a sign; what an agent knows of them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from precisionflow.config.base import NUMBER, Count, Flag, Positive
from precisionflow.config.source import Source

Chance = Annotated[float, Field(ge=0, le=1), NUMBER]
Validity = Annotated[float, Field(ge=0.5, le=1), NUMBER]


class World(Source):
    """What every world says of itself."""

    actions: ClassVar = 4
    """Actions of an agent."""
    kind: str
    length: Count
    """Most actions of an episode."""
    preference: Positive = 3.0
    """c: preferences over nothing, the good and the bad outcome are log softmax [0, c, -c], in nats."""

    @property
    def dataset(self) -> str:
        return self.kind


class TMaze(World):
    """A reward in one of two arms, a punishment in the other, a cue that tells which; arms are never left."""

    kind: Literal["t_maze"] = "t_maze"
    length: Count = 2
    validity: Validity = 0.95
    """Probability that the cue is right."""

    @property
    def dataset(self) -> str:
        return f"{self.kind}_validity_{self.validity:g}"


class FrozenLake(World):
    """A walk over 4 x 4 cells of slippery ice, past four holes, to a goal; holes and goal end it."""

    kind: Literal["frozen_lake"] = "frozen_lake"
    length: Count = 30
    slip: Chance = 0.2
    """Probability that a step goes to one of the two sides of its direction, both alike; 2/3 is Gymnasium's."""
    map_known: Flag = True
    """false: what lies on each cell is learned by counts, and that a cell ends the walk is not known."""
    concentration: Positive = 0.5
    """Of an unknown map, the Dirichlet count of ice, hole and goal at every cell before anything is seen."""

    @property
    def dataset(self) -> str:
        return f"{self.kind}_slip_{self.slip:g}{'' if self.map_known else '_unknown'}"


class GridWorld(World):
    """A reward in one of the two upper corners, a punishment in the other, a sign in the lowest row that tells."""

    kind: Literal["grid_world"] = "grid_world"
    length: Count = 12
    side: Annotated[int, Field(ge=3, le=9), NUMBER] = 3
    """Cells along each side."""
    slip: Chance = 0.0
    validity: Validity = 0.95

    @property
    def dataset(self) -> str:
        return f"{self.kind}_{self.side}x{self.side}_slip_{self.slip:g}_validity_{self.validity:g}"


Worlds = Annotated[TMaze | FrozenLake | GridWorld, Field(discriminator="kind")]
