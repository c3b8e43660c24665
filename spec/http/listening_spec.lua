-- Where the router listens: IPv4, IPv6, unix sockets, several at once, and what it says when it cannot.

local uv = require "luv"
local files = require "spec.support.files"
local http = require "spec.support.http"
local server = require "spec.support.server"
local support = require "spec.http.support"

after_each(server.stop_all)

local SCRIPT = [[
local sse = require "sse"
sse.get("/ip", function(req) return req.ip end)
]]

local function start(listen)
  return support.start { script = SCRIPT, listen = listen }
end

--- Runs a router that cannot listen.
local function fail(listen, script)
  local args = { "-e", script or SCRIPT }
  for _, address in ipairs(listen) do
    table.insert(args, 1, address)
    table.insert(args, 1, "--listen")
  end
  return server.run(args)
end

--- The command that starts a router to whom these lines are the machine's /etc/hosts. Pending where that may not be.
local function with_hosts(lines)
  local path = files.directory() .. "/hosts"
  files.write(path, table.concat(lines, "\n") .. "\n")
  local wrapper = { "unshare", "-rm", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', path }
  if not os.execute(("unshare -rm mount --bind %s /etc/hosts 2>/dev/null"):format(path)) then
    pending "/etc/hosts cannot be replaced for one process"
  end
  return wrapper
end

local function exists(path)
  return uv.fs_lstat(path) ~= nil
end

describe("the router listens", function()
  it("on IPv4", function()
    local router = start "127.0.0.1:0"
    assert.matches("^http://127%.0%.0%.1:%d+/$", router.addresses[1])
    assert.equal("127.0.0.1", http.get(router.port, "/ip").body)
  end)

  it("on IPv6", function()
    local router = start "[::1]:0"
    assert.matches("^http://%[::1%]:%d+/$", router.addresses[1])
    assert.equal("::1", http.get(router.addresses[1], "/ip").body)
  end)

  it("on a port alone, and on all addresses", function()
    for _, address in ipairs { "0", ":0", "*:0", "0.0.0.0:0" } do
      local router = start(address)
      local port = router.addresses[1]:match ":(%d+)/$"
      local where = router.addresses[1]:find("[::1]", 1, true) and "[::1]:" .. port or tonumber(port)
      assert.equal(200, http.get(where, "/ip").status, address)
      router:stop()
    end
  end)

  it("on both loopback addresses, of the same port, as localhost", function()
    for _, name in ipairs { "localhost", "LocalHost" } do
      local router = support.start { script = SCRIPT, listen = name .. ":0", ready = 2 }
      assert.same({ ("http://127.0.0.1:%d/"):format(router.port), ("http://[::1]:%d/"):format(router.port) },
        router.addresses)
      assert.equal("127.0.0.1", http.get(router.port, "/ip").body)
      assert.equal("::1", http.get("[::1]:" .. router.port, "/ip").body)
      local again = fail { name .. ":" .. router.port }
      assert.equal(3, again.status)
      assert.matches(name .. ":%d+ as 127%.0%.0%.1:%d+: Address already in use", again.stderr)
    end
  end)

  it("on all of a name's addresses that this machine has", function()
    local wrapper = with_hosts { "192.0.2.1 feed.test", "127.0.0.1 feed.test", "::1 feed.test", "127.0.0.1 feed.test" }
    local router = support.start { script = SCRIPT, listen = "feed.test:0", ready = 2, wrapper = wrapper }
    assert.same({ ("http://127.0.0.1:%d/"):format(router.port), ("http://[::1]:%d/"):format(router.port) },
      router.addresses)
    wrapper = with_hosts { "192.0.2.1 feed.test", "2001:db8::1 feed.test" }
    local result = server.run({ "--listen", "feed.test:0", "-e", SCRIPT }, { wrapper = wrapper })
    assert.equal(3, result.status)
    assert.matches("cannot listen on feed.test:0 as 192.0.2.1:0: Cannot assign", result.stderr, 1, true)
  end)

  it("on none of a name's addresses when one is in use", function()
    local other = start "[::1]:0"
    local port = other.addresses[1]:match ":(%d+)/$"
    local result = fail { "localhost:" .. port }
    assert.equal(3, result.status)
    assert.matches(("cannot listen on localhost:%s as [::1]:%s: Address already in use"):format(port, port),
      result.stderr, 1, true)
  end)

  it("on all IPv6 addresses beside all IPv4 addresses of the same port", function()
    -- The ports that the system gives to clients begin higher.
    local router
    support.eventually("a port that is free in both", function()
      local port = math.random(10000, 30000)
      local ok, result = pcall(start, { "[::]:" .. port, "0.0.0.0:" .. port })
      router = ok and result
      return ok
    end)
    assert.equal("::1", http.get("[::1]:" .. router.port, "/ip").body)
    assert.equal("127.0.0.1", http.get(router.port, "/ip").body)
  end)

  it("on several at once", function()
    local path = files.directory() .. "/socket"
    local router = start { "127.0.0.1:0", "[::1]:0", "unix:" .. path, "127.0.0.1:0" }
    assert.equal(4, #router.addresses)
    assert.equal("unix:" .. path, router.addresses[3])
    local seen = {}
    for index, address in ipairs(router.addresses) do
      seen[index] = http.get(address, "/ip").body
    end
    assert.same({ "127.0.0.1", "::1", "unix", "127.0.0.1" }, seen)
  end)

  it("where the script says, unless the command line does", function()
    local script = SCRIPT .. 'sse.listen "127.0.0.1:0"\nsse.listen "[::1]:0"\n'
    local router = support.start { script = script, listen = false, ready = 2 }
    assert.matches("^http://127%.0%.0%.1:%d+/$", router.addresses[1])
    assert.matches("^http://%[::1%]:%d+/$", router.addresses[2])
    router = support.start { script = script }
    assert.equal(1, #router.addresses)
    router:stop()
    assert.equal("sse-router: listening on " .. router.addresses[1] .. "\n", router:output())
  end)
end)

describe("a unix socket", function()
  local path

  before_each(function()
    path = files.directory() .. "/feed.sock"
  end)

  it("is removed at the end", function()
    local router = start("unix:" .. path)
    assert.is_true(exists(path))
    assert.equal("unix", http.get("unix:" .. path, "/ip").body)
    router:stop()
    assert.is_false(exists(path))
  end)

  it("that a killed router left is taken over", function()
    local router = start("unix:" .. path)
    router:kill "sigkill"
    router:wait_exit()
    assert.is_true(exists(path))
    start("unix:" .. path)
    assert.equal(200, http.get("unix:" .. path, "/ip").status)
  end)

  it("that is in use is left alone", function()
    start("unix:" .. path)
    local result = fail { "unix:" .. path }
    assert.equal(3, result.status)
    assert.matches("cannot listen on unix:.*: Address already in use", result.stderr)
    assert.equal(200, http.get("unix:" .. path, "/ip").status)
  end)

  it("does not replace a file", function()
    files.write(path, "precious")
    assert.equal(3, fail({ "unix:" .. path }).status)
    assert.equal("precious", files.read(path))
  end)

  it("needs a path that fits and a folder that is there", function()
    assert.equal(3, fail({ "unix:" }).status)
    local result = fail { "unix:" .. path .. ("x"):rep(108) }
    assert.equal(3, result.status)
    assert.matches("1 to 107 bytes", result.stderr)
    assert.matches("No such file", fail({ "unix:" .. path .. "/feed.sock" }).stderr)
  end)

  it("is removed when another address fails", function()
    assert.equal(3, fail({ "nowhere", "unix:" .. path }).status)
    assert.is_false(exists(path))
  end)

  it("takes streams and pipelines as TCP does", function()
    support.start { listen = "unix:" .. path }
    local get = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"
    assert.same({ 200, 200, 400 }, support.statuses("unix:" .. path, get .. get .. "\n"))
    local connection = http.connect("unix:" .. path)
    connection:request("GET", "/short")
    assert.matches("data: one\n\n$", connection:receive_response().body)
  end)
end)

describe("the router ends with status 3 and says why", function()
  it("when the port is taken", function()
    local router = start "127.0.0.1:0"
    local result = fail { "127.0.0.1:" .. router.port }
    assert.equal(3, result.status)
    assert.equal("", result.stdout)
    assert.matches("cannot listen on 127.0.0.1:%d+: Address already in use", result.stderr)
  end)

  it("when the address is none", function()
    for _, address in ipairs {
      "nowhere", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "[::1]", "[::1:80", "",
    } do
      local result = fail { address }
      assert.equal(3, result.status, address)
      assert.matches(address, result.stderr, 1, true)
    end
  end)

  it("when the address is not of this machine", function()
    local result = fail { "192.0.2.1:0" }
    assert.equal(3, result.status)
    assert.matches("cannot listen on 192.0.2.1:0: Cannot assign requested address", result.stderr)
  end)

  it("with the line of the script that asked for it", function()
    local directory = files.directory { ["feed.lua"] = 'local sse = require "sse"\nsse.listen "192.0.2.1:0"\n' }
    local result = server.run { directory .. "/feed.lua" }
    assert.equal(3, result.status)
    assert.matches("feed.lua:2: cannot listen on 192.0.2.1:0", result.stderr, 1, true)
  end)
end)

describe("sse.listen", function()
  it("refuses what is no address where it is written, for --check, too", function()
    for _, address in ipairs {
      "nowhere", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "[::1]", "http://127.0.0.1:80", "a b:80", "",
    } do
      local result = server.run { "--check", "-e", ('local sse = require "sse"\nsse.listen %q'):format(address) }
      assert.equal(1, result.status, address)
      assert.matches(":2: sse.listen: '" .. address .. "' is no address to listen on", result.stderr, 1, true)
    end
    for _, address in ipairs { "a.example:80", ":0", "8080", "[::1]:65535", "::1:80", "unix:feed.sock" } do
      local result = server.run { "--check", "-e", ('require "sse".listen %q'):format(address) }
      assert.same({ 0, "" }, { result.status, result.stderr }, address)
    end
  end)
end)
