-- examples/latest.lua: one connection, the types that the client names, and a route for each type.

local json = require "cjson"
local curl = require "spec.support.curl"
local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local page = require "spec.support.page"
local server = require "spec.support.server"

--- The events of these names, in order.
local function only(events, names)
  local chosen = {}
  for _, event in ipairs(events) do
    if names:find(event.event, 1, true) then
      chosen[#chosen + 1] = event
    end
  end
  return chosen
end

local function count_names(events)
  local names, count = {}, 0
  for _, event in ipairs(events) do
    count = count + (names[event.event] and 0 or 1)
    names[event.event] = true
  end
  return count
end

local fields = {
  news = { headline = "string" },
  weather = { city = "string", celsius = "number" },
  stock = { symbol = "string", price = "number" },
}

describe("examples/latest.lua", function()
  local router

  before_each(function()
    router = server.start_file "examples/latest.lua"
  end)

  after_each(server.stop_all)

  it("sends each client the types it wants, named, with ids, and resumes them as one", function()
    local function listen(path, options)
      return eventsource.open(router.port, path, options)
    end
    local session = page.start("wire.mjs", { url = router.url .. "/", count = 4 })
    local watcher = curl.start { router.url .. "/latest?type=news,weather,stock" }
    local listeners = {
      [listen "/latest"] = "news weather stock",
      [listen "/latest?type="] = "news weather stock",
      [listen "/latest?type=news,stock"] = "news stock",
      [listen "/latest?type=stock,stock"] = "stock",
      [listen "/latest/news"] = "news",
      [listen "/latest/weather"] = "weather",
      [listen "/latest/stock"] = "stock",
    }
    local all = listen "/latest?type=news,weather,stock"
    local events = {}
    repeat
      table.insert(events, all:next())
      assert(#events < 20, "not all types are heard")
    until count_names(events) == 3
    assert.same({ 3000 }, all.retries)
    for _, event in ipairs(events) do
      watcher:wait_line("stdout", "^id: " .. event.id:gsub("%p", "%%%0") .. "$")
      watcher:wait_line("stdout", "^event: " .. event.event .. "$")
    end

    local ids = {}
    for _, event in ipairs(events) do
      assert(event.id ~= "" and not ids[event.id], event.id)
      ids[event.id] = true
      local data = json.decode(event.data)
      for name, kind in pairs(fields[event.event]) do
        assert.equal(kind, type(data[name]))
      end
    end

    for listener, names in pairs(listeners) do
      local wanted = only(events, names)
      assert.same(wanted, listener:take(#wanted))
    end
    local late = listen "/latest?type=weather,news"
    local wanted = only(events, "news weather")
    assert.same(wanted, late:take(#wanted))
    local back = listen("/latest?type=news,weather,stock", { last_event_id = events[1].id })
    assert.same({ table.unpack(events, 2) }, back:take(#events - 1))

    local shown = session:finish()
    assert.equal("/latest?type=news,stock", shown.path)
    assert.equal("retry: 3000", shown.frames[2])
    -- The third is the position, unless there were events before.
    assert.matches("^id: %S+\nevent: %a+\ndata: {", shown.frames[4])
    assert.is_nil(table.concat(shown.frames, "\n"):find "weather")
  end)

  it("refuses a type that it does not know", function()
    local answer = http.get(router.port, "/latest?type=news,sport")
    assert.equal(400, answer.status)
    assert.same({ error = "unknown type: sport", known = { "news", "weather", "stock" } }, answer:json())
    assert.equal(404, http.get(router.port, "/latest/sport").status)
  end)
end)
