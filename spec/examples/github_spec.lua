-- examples/github.lua: GitHub's webhook as a feed.

local json = require "cjson"
local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local page = require "spec.support.page"
local process = require "spec.support.process"
local server = require "spec.support.server"

local function signature(body)
  local result = process.run({ "sh", "-c", [[printf %s "$1" | openssl dgst -sha256 -hmac "s3cret"]], "sh", body })
  assert.equal(0, result.status)
  return "sha256=" .. result.stdout:match "(%x+)%s*$"
end

describe("examples/github.lua", function()
  local router, deliveries

  before_each(function()
    deliveries = 0
    router = server.start_file("examples/github.lua", { env = { WEBHOOK_SECRET = "s3cret" } })
  end)

  after_each(server.stop_all)

  local function deliver(name, value, signed)
    deliveries = deliveries + 1
    local body = json.encode(value)
    return http.post(router.port, "/github", body, {
      ["Content-Type"] = "application/json",
      ["X-GitHub-Event"] = name,
      ["X-GitHub-Delivery"] = "delivery-" .. deliveries,
      ["X-Hub-Signature-256"] = signed or signature(body),
    })
  end

  local push = {
    ref = "refs/heads/main",
    repository = { full_name = "me/it", private = false },
    sender = { login = "me" },
    head_commit = { message = "Say hello" },
  }

  it("tells those who listen, and keeps what was for those who come later", function()
    local client = eventsource.open(router.port, "/activity")
    client:wait_open()
    assert.equal(200, deliver("push", push).status)
    local data, event = client:next_json()
    assert.equal("push", event.event)
    assert.same({ repository = "me/it", who = "me", branch = "refs/heads/main", message = "Say hello" }, data)
    assert.equal(200, deliver("issues", { action = "opened", sender = { login = "you" } }).status)
    assert.same({ action = "opened", who = "you" }, (client:next_json()))
    assert.equal("push", eventsource.open(router.port, "/activity"):next().event)
    assert.equal("issues", eventsource.open(router.port, "/activity?events=issues,star"):next().event)
    local shown = page.run("wire.mjs", { url = router.url .. "/", count = 2 })
    assert.equal("/activity", shown.path)
    assert.matches("event: push\ndata: {", table.concat(shown.frames, "\n"))
  end)

  it("refuses what is not signed, and keeps quiet about pings", function()
    assert.equal(401, http.post(router.port, "/github", "{}").status)
    assert.equal(403, deliver("push", push, "sha256=" .. ("0"):rep(64)).status)
    assert.equal(204, deliver("ping", { zen = "Keep it logically awesome." }).status)
    router:stop()
    assert.is_nil(router:log():find("s3cret", 1, true))
  end)

  it("warns when there is no secret", function()
    local open = server.start_file("examples/github.lua", { env = { WEBHOOK_SECRET = false } })
    open:wait_log "WEBHOOK_SECRET is not set"
  end)
end)
