"""The studio of one process: settings, connections and repositories, wired once at the edge."""

from __future__ import annotations

from typing import Any

from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.write_concern import WriteConcern

from studio.analyses import Analyses
from studio.announced_uploads import AnnouncedUploads
from studio.artworks import Artworks
from studio.callbacks import ReceivedCallbacks
from studio.clients import Clients
from studio.consents import ConsentRecords
from studio.deliveries import Deliveries
from studio.erasures import Erasures
from studio.events import Events
from studio.exports import Exports
from studio.gates import Gates
from studio.jobs import Jobs
from studio.ledger import Ledger
from studio.media_assets import MediaAssets
from studio.media_links import MediaLinks
from studio.migrations import migrate
from studio.objects import ObjectStore
from studio.profiles import Profiles
from studio.providers import Providers
from studio.reads import Loops
from studio.records import CODEC, Document
from studio.request_counters import RequestCounters
from studio.settings import Settings
from studio.statistics import Statistics
from studio.step_times import StepTimes
from studio.submissions import Submissions
from studio.walks import Walks

_CLIENT_OPTIONS: dict[str, Any] = {
    "serverSelectionTimeoutMS": 3000,
    "connectTimeoutMS": 3000,
    # Long enough for any answer of ours, short enough that a silent network is noticed.
    "socketTimeoutMS": 30_000,
    "appname": "huaban",
}
_DATABASE_OPTIONS: dict[str, Any] = {"codec_options": CODEC, "write_concern": WriteConcern("majority", j=True)}


class Studio:
    """Opens nothing before the first use, so it may be made before a worker forks."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client: MongoClient[Document] = MongoClient(settings.mongodb_uri, connect=False, **_CLIENT_OPTIONS)
        self.database = self.client.get_database(settings.mongodb_db, **_DATABASE_OPTIONS)
        self.loops = Loops(self._connect)
        self.objects = ObjectStore(settings)
        self.media_links = MediaLinks(settings)
        self.providers = Providers(settings, self.objects)
        self.clients = Clients(self.database["clients"], self.loops)
        self.announced_uploads = AnnouncedUploads(self.database["uploads"], self.loops)
        self.media_assets = MediaAssets(self.database["media_assets"], self.loops)
        self.artworks = Artworks(self.database["artworks"], self.loops)
        self.analyses = Analyses(self.database["ai_analyses"], self.loops)
        self.events = Events(self.database["events"], self.database["event_counters"], self.loops)
        self.profiles = Profiles(self.database["profiles"], self.loops, self.media_assets)
        self.jobs = Jobs(self.database["jobs"], self.loops, self.events)
        self.consents = ConsentRecords(self.database["consents"], self.loops)
        self.exports = Exports(self.database["exports"], self.loops)
        self.erasures = Erasures(self.database["erasures"], self.loops)
        self.walks = Walks(self.database["walks"])
        self.step_times = StepTimes(self.database["step_times"], self.loops, self.providers)
        self.statistics = Statistics(self.database["statistics"], self.loops)
        self.ledger = Ledger(self.database, settings)
        self.submissions = Submissions(self.database["jobs"], self.ledger)
        self.gates = Gates(self.database)
        self.deliveries = Deliveries(self.database["deliveries"])
        self.received_callbacks = ReceivedCallbacks(self.database["callbacks"])
        self.request_counters = RequestCounters(self.loops)

    def prepare(self) -> None:
        """Bring the database and the bucket into the shape that this version needs."""
        migrate(self.database)
        self.ledger.recount()
        self.objects.ensure_bucket()

    def close(self) -> None:
        self.client.close()

    def _connect(self) -> AsyncDatabase[Document]:
        client: AsyncMongoClient[Document] = AsyncMongoClient(self.settings.mongodb_uri, **_CLIENT_OPTIONS)
        return client.get_database(self.settings.mongodb_db, **_DATABASE_OPTIONS)
