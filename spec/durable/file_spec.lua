-- Which files a store takes, and what it says of others.

local uv = require "luv"
local files = require "spec.support.files"
local process = require "spec.support.process"
local server = require "spec.support.server"
local support = require "spec.durable.support"

--- Runs the router with a store to its end, and gives what it said.
local function refuse(database, options)
  local text = ('local sse = require "sse" sse.store "sqlite:%s"'):format(database)
  local result = server.run({ "--listen", "127.0.0.1:0", "-e", text }, options)
  assert.equal(1, result.status, result.stderr)
  assert.equal("", result.stdout)
  assert.is_nil(result.stderr:find("traceback", 1, true) and result.stderr:find("[C]: in ?\n", 1, true))
  return result.stderr
end

--- A database with events, closed cleanly, so that all is in its one file.
local function make(events, size)
  local router = support.start [[sse.channel("a", { history = 100000 })]]
  support.fill(router, "a", 1, events or 100, size)
  router:stop()
  return router.database, router
end

--- Replaces bytes of a file, from a position that counts from 0.
local function patch(path, position, bytes)
  local file = assert(io.open(path, "r+b"))
  file:seek("set", position)
  file:write(bytes)
  file:close()
end

describe("a store", function()
  after_each(server.stop_all)

  it("leaves one file behind after a clean end", function()
    local database = make()
    assert.is_string(files.read(database))
    assert.is_nil(files.read(database .. "-wal"))
    assert.is_nil(files.read(database .. "-shm"))
  end)

  it("refuses a file of a newer version, and leaves it as it is", function()
    local database = make()
    patch(database, 60, "\0\0\0\2")
    local before = files.read(database)
    local message = refuse(database)
    assert.is_truthy(message:find("newer sse-router (schema 2, this one knows 1)", 1, true), message)
    assert.equal(before, files.read(database))
  end)

  it("refuses a database of another program, and leaves it as it is", function()
    local database = make()
    patch(database, 68, "\1\2\3\4")
    patch(database, 18, "\1\1")
    local before = files.read(database)
    local message = refuse(database)
    assert.is_truthy(message:find("is a database of another program", 1, true), message)
    assert.equal(before, files.read(database))
  end)

  it("refuses what is no database", function()
    local path = files.directory { ["feeds.db"] = ("no database at all\n"):rep(1000) } .. "/feeds.db"
    local before = files.read(path)
    local message = refuse(path)
    assert.is_truthy(message:find("is damaged or no SQLite database", 1, true), message)
    assert.equal(before, files.read(path))
  end)

  it("refuses a file that is damaged anywhere or cut off", function()
    local database = make(400, 200)
    local whole = files.read(database)
    local pages = #whole // 4096
    assert.is_true(pages > 20)
    for _, page in ipairs { 1, 2, pages // 2, pages - 1 } do
      files.write(database, whole)
      patch(database, page * 4096, ("\xA5"):rep(4096))
      local message = refuse(database)
      assert.is_truthy(message:find("is damaged", 1, true), ("page %d: %s"):format(page, message))
    end
    files.write(database, whole:sub(1, #whole // 2))
    assert.is_truthy(refuse(database):find("is damaged", 1, true))
  end)

  it("is left alone by --check, also while a router uses it", function()
    local router = support.start()
    assert.equal(201, support.post(router, "a", "x").status)
    local folder, before = router.database:match "^(.*)/", support.stats(router)
    local text = [[
      local sse = require "sse"
      sse.store "sqlite:%s"
      sse.channel("a", { history = 1 })
      sse.publish("a", "never")
      assert(sse.channel("a").length == 1)
    ]]
    local temporary = files.directory()
    for _, path in ipairs { router.database, folder .. "/other.db" } do
      local result = server.run({ "--check", "-e", text:format(path) }, { env = { TMPDIR = temporary } })
      assert.same({ 0, "" }, { result.status, result.stderr })
    end
    assert.is_nil(files.read(folder .. "/other.db"))
    assert.is_nil((uv.fs_scandir_next(uv.fs_scandir(temporary))))
    local problems = { [folder] = "Is a directory", [folder .. "/none/x.db"] = "No such file or directory" }
    for path, problem in pairs(problems) do
      local result = server.run { "--check", "-e", text:format(path) }
      assert.equal(1, result.status)
      assert.matches(":2: sse.store: cannot open " .. path .. " for writing: " .. problem, result.stderr, 1, true)
    end
    router = support.restart(router)
    assert.equal(before.channels, support.stats(router).channels)
  end)

  it("takes an empty file", function()
    local router = support.start(nil, { database = files.directory { ["feeds.db"] = "" } .. "/feeds.db" })
    assert.equal(201, support.post(router, "a", "x").status)
  end)

  it("refuses a file that another router uses, by whatever name", function()
    local router = support.start()
    local other = files.directory() .. "/other.db"
    assert(uv.fs_symlink(router.database, other))
    for _, name in ipairs { router.database, other } do
      local message = refuse(name)
      assert.is_truthy(message:find("is in use by another sse-router", 1, true), message)
    end
    assert.equal(201, support.post(router, "a", "x").status)
    router = support.restart(router, "kill")
    assert.equal(201, support.post(router, "a", "x").status)
  end)

  it("says what is wrong with a path", function()
    local directory = files.directory()
    assert.is_truthy(refuse(directory):find("Is a directory", 1, true))
    assert.is_truthy(refuse(directory .. "/none/feeds.db"):find("No such file or directory", 1, true))
  end)

  it("refuses a file that may not be written", function()
    local database = make()
    local directory = database:match "^(.*)/"
    process.run { "chmod", "-R", "a+rX,a-w", directory }
    -- Root may write everything; so it must be somebody else.
    local nobody = uv.getuid() == 0
      and { "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups" } or {}
    local text = ('local sse = require "sse" sse.store "sqlite:%s"'):format(database)
    local args = table.move({ server.binary, "--listen", "127.0.0.1:0", "-e", text }, 1, 5, #nobody + 1, nobody)
    local result = process.run(args)
    process.run { "chmod", "-R", "u+w", directory }
    if result.stderr:find("Permission denied", 1, true) and not result.stderr:find("feeds.db", 1, true) then
      return -- Others may not even run the binary here.
    end
    assert.equal(1, result.status, result.stderr)
    assert.is_truthy(result.stderr:find("cannot open [^\n]*feeds.db for writing: Permission denied"), result.stderr)
  end)

  it("must be named before the first channel, once, and as a database", function()
    for text, problem in pairs {
      ['sse.channel "a" sse.store "sqlite:x.db"'] = "before the first channel",
      ['sse.store "feeds.db"'] = 'must be "sqlite:PATH"',
      ['sse.store(1)'] = "must be a string",
      ['sse.channel("a", { durable = true })'] = "call sse.store first",
      ['sse.channel("a", { durability = "lax" })'] = "durability",
    } do
      local result = server.run { "--check", "-e", 'sse = require "sse" ' .. text }
      assert.equal(1, result.status, text)
      assert.is_truthy(result.stderr:find(problem, 1, true), result.stderr)
    end
  end)
end)
