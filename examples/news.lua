-- The smallest feed: what is posted is heard. Its spec is spec/news_spec.lua.
--   ./dev run examples/news.lua
--   curl -N http://127.0.0.1:8080/news
--   curl -d '{"title": "Hello"}' http://127.0.0.1:8080/news

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local news = sse.channel("news", { history = 1000 })

sse.get("/news", news)

sse.post("/news", function(req)
  local story, problem = req:json()
  if type(story) ~= "table" or type(story.title) ~= "string" then
    return 400, { error = problem or "wanted: a title" }
  end
  local id, subscribers = news:publish { event = "story", data = story }
  return 201, { id = id, subscribers = subscribers }
end)
