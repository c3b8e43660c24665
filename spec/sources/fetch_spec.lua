-- sse.fetch: requests to other servers, from any coroutine.

local json = require "cjson"
local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local server = require "spec.support.server"
local toy_server = require "spec.support.toy_server"

-- POST /fetch { url =, options = } answers with what sse.fetch returned or raised.
local script = [[
  local sse = require "sse"
  sse.post("/fetch", function(req)
    local wanted = req:json()
    local ok, response, message, code = pcall(sse.fetch, wanted.url, wanted.options)
    if not ok then return { raised = response } end
    if not response then return { message = message, code = code } end
    return { status = response.status, body = response.body, url = response.url, headers = response.headers,
      json = (response:json()) }
  end)
]]

local zipped = ("1f8b0800000000000203abca2c50a842c5002d3078e913000000"):gsub("%x%x", function(digits)
  return string.char(tonumber(digits, 16))
end)

describe("sse.fetch", function()
  local router, toy, heads

  --- A server that answers by path: responses[path] is a function of the connection and the request's head.
  local function serve(responses)
    local seen = {}
    heads = seen
    toy = toy_server.start(function(connection, head)
      seen[#seen + 1] = head
      local respond = responses[head:match "^%u+ ([^ ?]*)"]
      if respond then
        respond(connection, head)
      else
        connection:respond("404 Not Found", "none")
      end
    end)
    return "http://127.0.0.1:" .. toy.port
  end

  local function fetch(url, options)
    local body = json.encode { url = url, options = options }
    return http.post(router.port, "/fetch", body, { ["Content-Type"] = "application/json" }):json()
  end

  before_each(function()
    router = server.start(script)
  end)

  after_each(server.stop_all)

  it("gives status, headers, body and URL", function()
    local base = serve {
      ["/a"] = function(connection)
        connection:respond("201 Created", '{"n":[1,2]}', "X-One: 1\r\nx-one:  2 \r\nContent-Type: application/json\r\n")
      end,
    }
    local response = fetch(base .. "/a?x=1")
    assert.equal(201, response.status)
    assert.equal('{"n":[1,2]}', response.body)
    assert.same({ n = { 1, 2 } }, response.json)
    assert.equal("1, 2", response.headers["x-one"])
    assert.equal("application/json", response.headers["content-type"])
    assert.equal(base .. "/a?x=1", response.url)
    assert.equal(404, fetch(base .. "/b").status)
    -- One connection served both.
    assert.equal(1, toy.accepted)
  end)

  it("sends the method, headers and a body as text or JSON", function()
    local base = serve {
      ["/"] = function(connection)
        connection:respond("200 OK", "")
      end,
    }
    fetch(base .. "/", { method = "DELETE", headers = { ["X-Key"] = "k", ["X-Empty"] = "" } })
    assert.matches("^DELETE / HTTP/1.1\r\n", heads[1])
    assert.matches("\r\nX%-Key: k\r\n", heads[1])
    assert.matches("\r\nX%-Empty:\r\n", heads[1])
    fetch(base .. "/", { body = { a = 1 } })
    assert.matches("^POST ", heads[2])
    assert.matches("\r\nContent%-Type: application/json\r\n", heads[2])
    loop.wait_until(function()
      return toy.connections[1].buffer == '{"a":1}'
    end, nil, "the body")
    toy.connections[1].buffer = ""
    fetch(base .. "/", { method = "PUT", body = "plain", headers = { ["content-type"] = "text/x" } })
    assert.matches("^PUT ", heads[3])
    assert.is_nil(heads[3]:find("text/plain", 1, true))
  end)

  it("follows redirects, as far as allowed and over HTTP alone", function()
    local function to(status, where)
      return function(connection)
        connection:respond(status .. " Elsewhere", "not here", "Location: " .. where .. "\r\n")
      end
    end
    local base = serve {
      ["/1"] = to(302, "/2"),
      ["/2"] = to(307, "3?q"),
      ["/3"] = function(connection)
        connection:respond("200 OK", "here")
      end,
      ["/loop"] = to(301, "/loop"),
      ["/file"] = to(302, "file:///etc/passwd"),
    }
    local response = fetch(base .. "/1")
    assert.same({ 200, "here", base .. "/3?q" }, { response.status, response.body, response.url })
    response = fetch(base .. "/1", { follow = 0 })
    assert.same({ 302, "not here", "/2" }, { response.status, response.body, response.headers.location })
    assert.equal("EREDIRECT", fetch(base .. "/1", { follow = 1 }).code)
    assert.equal("EREDIRECT", fetch(base .. "/loop").code)
    assert.equal("EURL", fetch(base .. "/file").code)
  end)

  it("keeps credentials from other hosts", function()
    local other = serve {
      ["/"] = function(connection)
        connection:respond("200 OK", "")
      end,
    }
    local others_heads = heads
    local base = serve {
      ["/"] = function(connection)
        connection:respond("302 Found", "", "Location: " .. other:gsub("127.0.0.1", "localhost") .. "/\r\n")
      end,
    }
    local options = { headers = { Authorization = "Bearer secret", Cookie = "a=secret" } }
    assert.equal(200, fetch(base .. "/", options).status)
    assert.matches("secret", heads[1])
    assert.is_nil(others_heads[1]:find("secret", 1, true))
  end)

  it("unpacks compressed bodies", function()
    local base = serve {
      ["/"] = function(connection)
        connection:respond("200 OK", zipped, "Content-Encoding: gzip\r\n")
      end,
    }
    assert.equal("zip zip zip zip zip", fetch(base .. "/").body)
    assert.matches("\r\nAccept%-Encoding: [^\r]*gzip", heads[1])
  end)

  it("limits the body, also one that is only large when unpacked", function()
    local base = serve {
      ["/"] = function(connection)
        connection:respond("200 OK", ("x"):rep(1000))
      end,
      ["/zip"] = function(connection)
        connection:respond("200 OK", zipped, "Content-Encoding: gzip\r\n")
      end,
      ["/large"] = function(connection)
        connection:respond("200 OK", ("x"):rep(3000000))
      end,
    }
    assert.equal(1000, #fetch(base .. "/", { max_body = 1000 }).body)
    local response = fetch(base .. "/", { max_body = 999 })
    assert.same({ "ETOOBIG", "the response has more than 999 bytes" }, { response.code, response.message })
    assert.equal("ETOOBIG", fetch(base .. "/zip", { max_body = 18 }).code)
    assert.equal(3000000, #fetch(base .. "/large").body)
    assert.equal("ETOOBIG", fetch(base .. "/large", { max_body = "1M" }).code)
  end)

  it("says what went wrong", function()
    local base = serve {
      ["/silent"] = function() end,
      ["/cut"] = function(connection)
        connection:write "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123"
        connection:finish()
      end,
      ["/nothing"] = function(connection)
        connection:finish()
      end,
    }
    assert.equal("ETIMEDOUT", fetch(base .. "/silent", { timeout = "50ms" }).code)
    assert.equal("ECONNRESET", fetch(base .. "/cut").code)
    assert.equal("ECONNRESET", fetch(base .. "/nothing").code)
    toy:close()
    local refused = fetch(base .. "/")
    assert.equal("ECONNREFUSED", refused.code)
    assert.matches("^Failed to connect", refused.message)
    assert.equal("EURL", fetch("file:///etc/passwd").code)
    assert.equal("EURL", fetch("http://").code)
  end)

  it("raises mistakes at the script's line", function()
    local function raised(url, options)
      return fetch(url, options).raised
    end
    assert.matches("unknown option 'tiemout' %(did you mean 'timeout'%?%)", raised("http://x/", { tiemout = 1 }))
    assert.matches("option 'headers' must", raised("http://x/", { headers = { ["a b"] = "x" } }))
    assert.matches("option 'headers' must", raised("http://x/", { headers = { a = "x\r\ny: z" } }))
    assert.matches("option 'method' must", raised("http://x/", { method = "GET /\r\n" }))
    assert.matches("option 'body' must", raised("http://x/", { body = 1 }))
    local result = server.run { "-e", 'local sse = require "sse"\nsse.fetch "http://127.0.0.1/"' }
    assert.equal(1, result.status)
    assert.matches("%(command line%):2: sse.fetch cannot wait here", result.stderr)
  end)

  it("waits while others go on, and many at once", function()
    router:stop()
    router = server.start(script .. [[
      sse.get("/other", function() return "served" end)
      sse.get("/many", function()
        local answers, left = {}, 50
        for index = 1, 50 do
          sse.spawn(function()
            local response = sse.fetch(sse.state("base").url .. "/" .. index)
            answers[index], left = response.body, left - 1
          end)
        end
        while left > 0 do sse.sleep "10ms" end
        return sse.array(answers)
      end)
      sse.post("/base", function(req) sse.state("base").url = req.body return 204 end)
    ]])
    local waiting
    local responses = { ["/slow"] = function(connection)
      waiting = connection
    end }
    for index = 1, 50 do
      responses["/" .. index] = function(connection)
        connection:respond("200 OK", tostring(index))
      end
    end
    local base = serve(responses)
    local slow = http.connect(router.port)
    slow:request("POST", "/fetch", { ["Content-Type"] = "application/json" }, json.encode { url = base .. "/slow" })
    loop.wait_until(function()
      return waiting
    end, nil, "the request")
    assert.equal("served", http.get(router.port, "/other").body)
    http.post(router.port, "/base", base)
    local answers = http.get(router.port, "/many"):json()
    for index = 1, 50 do
      assert.equal(tostring(index), answers[index])
    end
    waiting:respond("200 OK", "at last")
    assert.equal("at last", slow:receive_response():json().body)
  end)

  it("is ended with its coroutine", function()
    local base = serve { ["/"] = function() end }
    router:stop()
    router = server.start(([[
      local sse = require "sse"
      sse.get("/", function() return sse.stream(function() sse.fetch %q end) end)
    ]]):format(base .. "/"))
    local client = eventsource.open(router.port, "/")
    loop.wait_until(function()
      return #heads == 1
    end, nil, "the request")
    client:close()
    loop.wait_until(function()
      return toy.ended == 1
    end, nil, "the request's end")
  end)

  it("of a request goes on over a reload, of a timer ends", function()
    local base = serve { ["/timer"] = function() end, ["/request"] = function() end }
    local text = script .. [[
      sse.after(0, function() sse.fetch "URL/timer" end)
      sse.on("error", function(text) sse.log.warn(text) end)
    ]]
    router:stop()
    router = server.start(text:gsub("URL", base), { args = { "--log-level", "info" } })
    loop.wait_until(function()
      return #heads == 1
    end, nil, "the timer's request")
    local asker = http.connect(router.port)
    asker:request("POST", "/fetch", { ["Content-Type"] = "application/json" }, json.encode { url = base .. "/request" })
    loop.wait_until(function()
      return #heads == 2
    end, nil, "the request")
    router:rewrite(script)
    router:kill "sighup"
    loop.wait_until(function()
      return toy.ended == 1
    end, nil, "the timer's request to end")
    for _, connection in ipairs(toy.connections) do
      if connection.received:find("/request", 1, true) then
        connection:respond("200 OK", "kept")
      end
    end
    assert.equal("kept", asker:receive_response():json().body)
  end)

  it("wants a certificate that it can verify", function()
    local directory = files.directory()
    local function path(name)
      return directory .. "/" .. name
    end
    local made = process.run({ "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
      "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
      path "key.pem",
      "-out", path "cert.pem" })
    assert.equal(0, made.status, made.stderr)
    local secure = process.spawn({ "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", path "cert.pem",
      "-key", path "key.pem" }, { name = "s_server" })
    local port = secure:wait_line("stdout", "^ACCEPT .*:(%d+)$")
    local url = "https://localhost:" .. port .. "/"
    assert.equal("ETLS", fetch(url).code)
    assert.equal(200, fetch(url, { ca = path "cert.pem" }).status)
    assert.equal(200, fetch(url, { insecure = true }).status)
    -- The right certificate for another name.
    local other = "https://127.0.0.1:" .. port .. "/"
    assert.equal("ETLS", fetch(other, { ca = path "cert.pem" }).code)
    assert.equal("ETLS", fetch(url, { ca = path "none.pem" }).code)
  end)
end)
