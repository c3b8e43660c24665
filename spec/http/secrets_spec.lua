-- A token in a query stays between the client and the script: no log line and no error page shows it.

local http = require "spec.support.http"
local server = require "spec.support.server"
local support = require "spec.http.support"

after_each(server.stop_all)

local SECRET = "open-sesame-1f2e3d"
local WRONG = "wrong-guess-4c5b6a"

local SCRIPT = ([[
local sse = require "sse"
local guard = sse.auth.token { secret = %q }
sse.get("/private", guard, function() return "inside\n" end)
sse.get("/feed", guard, sse.channel "feed")
sse.get("/own", guard, function() return sse.stream(function(client)
  client:send { data = "one" }
  error "the stream is broken"
end) end)
sse.get("/broken", function() error "broken" end)
sse.get("/result", function() return 99 end)
sse.get("/slow", function() sse.sleep(3600) end)
sse.post("/private", guard, function() return 204 end)
]]):format(SECRET)

describe("a token in a query", function()
  it("is in no log line and on no error page", function()
    local router = support.start {
      script = SCRIPT,
      args = { "--log-level", "debug", "--max-body", "10", "--head-timeout", "500ms", "--body-timeout", "500ms",
        "--grace", "100ms" },
    }
    local shown = {}
    local function send(bytes)
      local connection = http.connect(router.port)
      connection:send(bytes)
      shown[#shown + 1] = connection
    end
    for _, token in ipairs { SECRET, WRONG } do
      local query = "?token=" .. token
      for _, path in ipairs {
        "/private", "/feed", "/own", "/broken", "/result", "/nothing", "//", "/%zz", "/private/",
      } do
        for _, method in ipairs { "GET", "HEAD", "DELETE", "OPTIONS", "POST" } do
          local request = "%s %s%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n"
          send(request:format(method, path, query, token))
        end
      end
      local line = "GET /private" .. query .. " HTTP/1.1\r\nHost: a\r\n"
      send("GET http://a/broken" .. query .. " HTTP/1.1\r\nHost: a\r\n\r\n")
      send("GET http://" .. query .. " HTTP/1.1\r\nHost: a\r\n\r\n")
      send("GET " .. query .. " HTTP/1.1\r\nHost: a\r\n\r\n")
      send("GET * HTTP/1.1\r\nHost: " .. token .. "/\r\n\r\n")
      send(line .. "X: a\nb\r\n\r\n")
      send(line .. "X: " .. ("x"):rep(20000) .. "\r\n\r\n")
      send(line .. "Content-Length: 11\r\n\r\n")
      send(line .. "Expect: " .. token .. "\r\n\r\n")
      send(line .. "Transfer-Encoding: " .. token .. "\r\n\r\n")
      send("GET /private" .. query .. " HTTP/3.0\r\n")
      send(token .. " /private HTTP/1.1\r\n")
      send(line)
      send(line .. "Content-Length: 5\r\n\r\n")
      send("GET /feed" .. query .. "&last_event_id=last=x HTTP/1.1\r\nHost: a\r\n\r\n")
    end
    for _, connection in ipairs(shown) do
      connection:wait_bytes(1)
    end
    http.connect(router.port):request("GET", "/slow?token=" .. SECRET)
    router:stop()
    for _, connection in ipairs(shown) do
      local text = connection:unread()
      assert.not_matches(SECRET, text, 1, true)
      assert.not_matches(WRONG, text, 1, true)
    end
    assert.not_matches(SECRET, router:log(), 1, true)
    assert.not_matches(WRONG, router:log(), 1, true)
    assert.matches("GET /broken", router:log())
  end)
end)
