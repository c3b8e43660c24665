-- examples/instances.lua: one feed on several servers.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

describe("examples/instances.lua", function()
  local owner, first, second

  local function follow(of)
    return server.start_file("examples/instances.lua", { env = { OWNER = of.url } })
  end

  before_each(function()
    owner = server.start_file "examples/instances.lua"
  end)

  after_each(server.stop_all)

  local function post(router, data, headers)
    return http.post(router.port, "/news", data, headers)
  end

  it("has every event everywhere, with the same id, whichever instance it is posted to", function()
    assert.equal(201, post(owner, "before").status)
    first, second = follow(owner), follow(owner)
    local clients = {}
    for index, router in ipairs { owner, first, second } do
      clients[index] = eventsource.open(router.port, "/news?last_event_id=earliest")
      assert.equal("before", clients[index]:next().data)
    end
    for index, router in ipairs { first, second, owner } do
      local answer = post(router, tostring(index))
      assert.equal(201, answer.status)
      for _, client in ipairs(clients) do
        local event = client:next()
        assert.same({ tostring(index), answer:json().id }, { event.data, event.id })
      end
    end
  end)

  it("lets a browser come back to another instance, which has what it missed", function()
    first, second = follow(owner), follow(owner)
    local client = eventsource.open(first.port, "/news"):wait_open()
    local id = post(first, "seen"):json().id
    assert.equal(id, client:next().id)
    first:stop()
    post(second, "missed")
    local back = eventsource.open(second.port, "/news", { last_event_id = id })
    assert.equal("missed", back:next().data)
  end)

  it("hands on what a POST is made of", function()
    first = follow(owner)
    local json = { ["Content-Type"] = "application/json", ["Idempotency-Key"] = "k" }
    local answers = {}
    for index = 1, 2 do
      answers[index] = post(first, '{"event":"story","data":{"title":"Hi"}}', json):json().id
    end
    assert.equal(answers[1], answers[2])
    local client = eventsource.open(first.port, "/news?last_event_id=earliest")
    local event = client:next()
    assert.same({ "story", '{"title":"Hi"}' }, { event.event, event.data })
    assert.equal(400, post(first, "{", json).status)
  end)

  it("tells who posts when the owner is away, and keeps its streams", function()
    first = follow(owner)
    local client = eventsource.open(first.port, "/news"):wait_open()
    owner:stop()
    local answer
    loop.eventually(function()
      answer = post(first, "lost")
      return answer.status == 502
    end, nil, "a refusal")
    assert.matches("the owner does not answer", answer:json().error)
    assert.equal("open", client:state())
  end)
end)
