// The least that Express and the official driver have to do for two of our routes: the same documents by the same
// queries. It draws no views, translates nothing and signs no links, so what ours does beyond that counts against ours.

import { createHmac } from "node:crypto";
import express from "express";
import { MongoClient } from "mongodb";

const { MONGODB_URI, MONGODB_DB, OWNER_KEY, PORT } = process.env;
const database = (await new MongoClient(MONGODB_URI).connect()).db(MONGODB_DB);
const jobs = database.collection("jobs");
const artworks = database.collection("artworks");
const mediaAssets = database.collection("media_assets");

/** The owner id of the caller, as app/identity.py makes it. */
function ownerOf(request) {
  const digest = createHmac("sha256", OWNER_KEY).update(request.get("X-Client-Id")).digest();
  return digest.subarray(0, 18).toString("base64url");
}

const app = express();

app.get("/generation/jobs/:id", async (request, response) => {
  const job = await jobs.findOne({ _id: request.params.id, owner: ownerOf(request) });
  if (job) response.json(job);
  else response.sendStatus(404);
});

app.get("/gallery", async (request, response) => {
  const owner = ownerOf(request);
  const limit = Number(request.query.limit ?? 20);
  const newest = { created_at: -1, _id: -1 };
  const found = await artworks.find({ owner, deleted_at: null }).sort(newest).limit(limit + 1).toArray();
  const page = found.slice(0, limit);
  const wanted = page.flatMap((artwork) => [artwork.cover_asset_id, artwork.video_asset_id]).filter(Boolean);
  const assets = await mediaAssets.find({ _id: { $in: wanted }, owner }).toArray();
  const byId = new Map(assets.map((asset) => [asset._id, asset]));
  const items = page.map((artwork) => ({
    ...artwork,
    cover: byId.get(artwork.cover_asset_id),
    video: byId.get(artwork.video_asset_id),
  }));
  response.json({ items, more: found.length > limit });
});

app.listen(Number(PORT), "127.0.0.1");
