-- sse.poll: a URL asked again and again.

local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local toy_server = require "spec.support.toy_server"

describe("sse.poll", function()
  local toy, heads, router

  --- Answers the nth request with the nth response, and further ones with the last.
  local function serve(...)
    local responses, seen = { ... }, {}
    heads = seen
    toy = toy_server.start(function(connection, head)
      seen[#seen + 1] = head
      connection:respond(table.unpack(responses[math.min(#seen, #responses)]))
    end)
    return "http://127.0.0.1:" .. toy.port .. "/data"
  end

  local prints = "function(response) sse.log.info('got', response.body) end"

  local function poll(url, fn, options, args)
    router = server.start(([[
      local sse = require "sse"
      local poll = sse.poll(%q, "20ms", %s, %s)
      sse.post("/stop", function() poll:stop() return 204 end)
      sse.get("/stats", function() return sse.stats() end)
    ]]):format(url, fn or prints, options or "nil"), { args = args })
  end

  local function wait_requests(count)
    loop.wait_until(function()
      return #heads >= count
    end, nil, count .. " requests")
  end

  local function count_lines(pattern)
    return select(2, router:log():gsub(pattern, ""))
  end

  after_each(server.stop_all)

  it("calls its function with changes alone, and asks with the ETag and the date", function()
    local date = "Sat, 21 Nov 2026 03:00:00 GMT"
    poll(serve({ "200 OK", "one", 'ETag: "1"\r\nLast-Modified: ' .. date .. "\r\n" }, { "304 Not Modified", "" },
      { "200 OK", "two", 'ETag: "2"\r\n' }, { "200 OK", "two", 'ETag: "3"\r\n' }, { "304 Not Modified", "" }))
    wait_requests(8)
    assert.is_nil(heads[1]:find "If%-")
    assert.matches('\r\nIf%-None%-Match: "1"\r\n', heads[2])
    assert.matches("\r\nIf%-Modified%-Since: " .. date, heads[2])
    assert.matches('\r\nIf%-None%-Match: "1"\r\n', heads[3])
    assert.matches('\r\nIf%-None%-Match: "2"\r\n', heads[4])
    assert.is_nil(heads[4]:find "If%-Modified")
    assert.matches('\r\nIf%-None%-Match: "3"\r\n', heads[5])
    router:stop()
    assert.equal(1, count_lines "got one")
    assert.equal(1, count_lines "got two")
    assert.equal(1, toy.accepted)
  end)

  it("compares bodies of servers that have neither", function()
    poll(serve({ "200 OK", "a" }, { "200 OK", "a" }, { "200 OK", "b" }, { "200 OK", "b" }, { "200 OK", "a" }))
    wait_requests(7)
    router:stop()
    assert.equal(2, count_lines "got a")
    assert.equal(1, count_lines "got b")
  end)

  it("logs failures, asks ever less often, and goes on", function()
    local url = serve({ "500 Oh", "" }, { "404 No", "" }, { "200 OK", "fine" })
    poll(url .. "?key=secret")
    router:wait_log "got fine"
    router:stop()
    assert.matches("sse%.poll http://127.0.0.1:%d+/data: status 500; asks again in 0%.0 s", router:log())
    assert.matches("status 404", router:log())
    assert.is_nil(router:log():find("secret", 1, true))
  end)

  it("says so when it has failed ten times in a row", function()
    poll(serve { "503 Later", "" })
    router:stop()
    router = server.start(([[
      local sse = require "sse"
      sse.poll(%q, "1ms", print)
    ]]):format("http://127.0.0.1:" .. toy.port .. "/"))
    router:wait_log "sse%.poll .*: failed 10 times in a row; tries once in a minute from now on"
    router:wait_log "asks again in 60%.0 s"
  end)

  it("logs and counts errors of its function, and calls it again", function()
    poll(serve({ "200 OK", "x", 'ETag: "1"\r\n' }), [[function()
      local state = sse.state "calls"
      state.count = (state.count or 0) + 1
      if state.count < 3 then error "not yet" end
      sse.log.info "done"
    end]])
    router:wait_log "done"
    assert.equal(2, http.get(router.port, "/stats"):json().script_errors)
    assert.matches("not yet\n%s+stack traceback", router:log())
    assert.is_nil(heads[2]:find "If%-None%-Match")
    wait_requests(4)
    assert.matches('\r\nIf%-None%-Match: "1"\r\n', heads[4])
  end)

  it("outlives a function that takes too long", function()
    poll(serve { "200 OK", "x" }, [[function()
      local state = sse.state "calls"
      state.count = (state.count or 0) + 1
      if state.count == 1 then while true do end end
      sse.log.info "done"
    end]], nil, { "--budget", "1s" })
    router:wait_log "done"
  end)

  it("stops when it is told to, and with its script", function()
    poll(serve { "200 OK", "x" })
    wait_requests(2)
    http.post(router.port, "/stop", "")
    local count = #heads
    loop.holds(function()
      return #heads <= count + 1
    end, 0.15, "no further requests")
    router:rewrite 'require("sse").log.info "the new one"'
    router:kill "sighup"
    router:wait_log "the new one"
  end)

  it("raises mistakes at the script's line", function()
    local function raised(code)
      local result = server.run { "--check", "-e", 'local sse = require "sse"\n' .. code }
      assert.equal(1, result.status)
      return result.stderr:match "%(command line%):2: ([^\n]*)"
    end
    assert.matches("must begin with http", raised 'sse.poll("x", 1, print)')
    assert.matches("argument 2 %(interval%)", raised 'sse.poll("http://x", "often", print)')
    assert.matches("argument 3 %(function%)", raised 'sse.poll("http://x", 1)')
    assert.matches("did you mean 'timeout'", raised 'sse.poll("http://x", 1, print, { tiemout = 1 })')
  end)
end)
