-- How to test a script of your own, with busted and lua-luv:
--   sse-router --types types            writes types/sse/testing.lua
--   LUA_PATH='types/?.lua;;' busted --lua=lua5.4
--                                       runs spec/*_spec.lua; SSE_ROUTER names the program if it is not in the path

local testing = require "sse.testing"

describe("news", function()
  local feed

  before_each(function()
    feed = testing.start "news.lua"
  end)
  after_each(testing.stop_all)

  it("reaches who listens", function()
    local client = feed:subscribe "/news"
    local answer = feed:post("/news", '{"title":"Hello"}')
    assert.equal(201, answer.status)
    local event = client:next()
    assert.equal("story", event.event)
    assert.equal('{"title":"Hello"}', event.data)
  end)

  it("reaches who was away", function()
    local client = feed:subscribe "/news"
    feed:post("/news", '{"title":"one"}')
    local last = client:next().id
    client:close()
    feed:post("/news", '{"title":"two"}')
    client = feed:subscribe("/news", { last_event_id = last })
    assert.equal('{"title":"two"}', client:next().data)
  end)

  it("has titles", function()
    local client = feed:subscribe "/news"
    assert.equal(400, feed:post("/news", "{}").status)
    assert.is_true(client:is_silent(0.05))
  end)
end)
