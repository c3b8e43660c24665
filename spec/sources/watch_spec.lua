-- sse.watch: a function hears of changes of files and folders.

local uv = require "luv"
local files = require "spec.support.files"
local server = require "spec.support.server"
local support = require "spec.sources.support"

--- One change of the folder; writing more into a file is one of the file.
local function create(path)
  assert(io.open(path, "wb")):close()
end

local function append(path)
  local file = assert(io.open(path, "ab"))
  file:write "x"
  file:close()
end

--- Puts another file in the place of one, as editors do.
local function replace(path)
  local beside = files.directory { new = "saved by an editor" }
  assert(os.rename(beside .. "/new", path))
end

describe("a change", function()
  local directory, listener, router

  after_each(server.stop_all)

  --- Starts a router that watches `path` below a new directory with this content; changes become events.
  local function watch(path, given, content)
    directory = files.directory(content)
    router = support.start(([[
      sse.watch("%s", function(change)
        out:publish(change.change .. " " .. change.path)
      end, %s)
    ]]):format(directory .. path, given or '{ debounce = "20ms" }'))
    listener = support.listen(router)
    router:wait_log "watch .*: watches"
  end

  local function expect(...)
    local expected = { ... }
    for index, text in ipairs(expected) do
      expected[index] = text:gsub(" ", " " .. directory .. "/", 1)
    end
    local heard = support.take(listener, #expected)
    assert.same(expected, heard)
  end

  it("of what is in a folder is heard of", function()
    watch("", nil, { a = "1", b = "1" })
    append(directory .. "/a")
    expect "changed a"
    create(directory .. "/c")
    expect "created c"
    os.remove(directory .. "/b")
    expect "removed b"
    os.rename(directory .. "/c", directory .. "/d")
    expect("removed c", "created d")
    replace(directory .. "/a")
    expect "changed a"
    uv.fs_mkdir(directory .. "/folder", 493)
    expect "created folder"
    create(directory .. "/folder/inside")
    listener:expect_silence(0.1)
  end)

  it("that is followed by others is heard of once", function()
    watch("", '{ debounce = "300ms" }', { a = "" })
    for _ = 1, 10 do
      append(directory .. "/a")
    end
    create(directory .. "/never")
    os.remove(directory .. "/never")
    expect "changed a"
    listener:expect_silence(0.4)
  end)

  it("below a folder is heard of too, when that is asked for", function()
    watch("", '{ recursive = true, debounce = "20ms" }', { a = "" })
    uv.fs_mkdir(directory .. "/one", 493)
    expect "created one"
    uv.fs_mkdir(directory .. "/one/two", 493)
    create(directory .. "/one/two/file")
    expect("created one/two", "created one/two/file")
    append(directory .. "/one/two/file")
    expect "changed one/two/file"
    os.rename(directory .. "/one", directory .. "/uno")
    expect("removed one", "removed one/two", "removed one/two/file", "created uno", "created uno/two",
      "created uno/two/file")
    append(directory .. "/uno/two/file")
    expect "changed uno/two/file"
    files.remove(directory .. "/uno")
    expect("removed uno", "removed uno/two", "removed uno/two/file")
  end)

  it("of one file is heard of, others' are not", function()
    watch("/config.json", nil, { ["config.json"] = "1", other = "1" })
    append(directory .. "/config.json")
    expect "changed config.json"
    append(directory .. "/other")
    listener:expect_silence(0.1)
    replace(directory .. "/config.json")
    expect "changed config.json"
    os.remove(directory .. "/config.json")
    expect "removed config.json"
    create(directory .. "/config.json")
    expect "created config.json"
  end)

  it("of a file in a folder that comes later is heard of", function()
    watch "/later/config.json"
    uv.fs_mkdir(directory .. "/later", 493)
    create(directory .. "/later/config.json")
    expect "created later/config.json"
    append(directory .. "/later/config.json")
    expect "changed later/config.json"
  end)

  it("goes to a function that may wait and fail", function()
    directory = files.directory()
    router = support.start(([[
      local failed = false
      sse.watch("%s", function(change)
        if not failed then failed = true error("no!") end
        sse.sleep(0.01)
        out:publish(change.change)
      end, { debounce = 0 })
    ]]):format(directory))
    listener = support.listen(router)
    router:wait_log "watch .*: watches"
    create(directory .. "/one")
    router:wait_log "error watch .*: .*script.lua:8: no!"
    create(directory .. "/two")
    assert.equal("created", listener:next().data)
  end)

  it("is not heard of after stop", function()
    directory = files.directory()
    router = support.start(([[
      local handle = sse.watch("%s", function(change) out:publish(change.change) end, { debounce = "10ms" })
      sse.get("/stop", function() handle:stop() return {} end)
    ]]):format(directory))
    listener = support.listen(router)
    router:wait_log "watch .*: watches"
    create(directory .. "/one")
    assert.equal("created", listener:next().data)
    support.poll(router, "/stop", function() return true end)
    create(directory .. "/two")
    listener:expect_silence(0.2)
  end)
end)

describe("a mistake in sse.watch", function()
  after_each(server.stop_all)

  it("is told with the script's line", function()
    support.expect_mistakes {
      ["sse.watch('x')"] = "sse.watch: argument 2 (function) must be a function, got nil",
      ["sse.watch('x', print, { recursiv = true })"] =
        "sse.watch: unknown option 'recursiv' (did you mean 'recursive'?)",
    }
  end)
end)
