#!/usr/bin/perl

# make install and make uninstall, of what make build has made.

use v5.36;

use Cwd qw(abs_path);
use File::Find qw(find);
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

my $root = abs_path("$FindBin::Bin/../..");
my $dir = tempdir(CLEANUP => 1);
my @where = ("DESTDIR=$dir", 'MODULESDIR=/modules', 'PREFIX=/usr/local');

plan skip_all => 'needs what make build makes'
    if grep { !-e "$root/build/$_" }
        qw(ngx_http_canary_module.so canaryctl canary-replay);

make('install-module', 'install-programs');

my %is = map { $_ => 1 } files();

ok($is{$_}, $_) for qw(
    modules/ngx_http_canary_module.so
    usr/local/bin/canaryctl
    usr/local/bin/canary-replay
    usr/local/share/bash-completion/completions/canaryctl
);

my @manuals = map { s{.*/}{}r } glob "$root/docs/*.1";

ok($is{"usr/local/share/man/man1/$_"}, $_) for @manuals;
is(scalar keys %is, 4 + @manuals, 'and nothing else');

for my $file (grep { /\.so$|\bbin/ } sort keys %is) {
    my $sections = `readelf -S -W $dir/$file`;

    is($?, 0, "$file is there to be read");
    unlike($sections, qr/\.symtab|\.debug_/, 'without its symbols');
}

like(`$dir/usr/local/bin/canaryctl --version`, qr/^canaryctl \d/);

# Again, over what is there; and what is not ours stays.

make('install-module', 'install-programs');

open my $other, '>', "$dir/modules/other.so" or die $!;
close $other;

make('uninstall');
is_deeply([ files() ], ['modules/other.so'], 'nothing of it is left');

done_testing();


sub make(@targets) {
    my $said = `make -C $root --no-print-directory @targets @where 2>&1`;

    is($?, 0, "make @targets") or diag($said);
}


sub files() {
    my @files;

    find({ no_chdir => 1, wanted => sub {
        push @files, s{^\Q$dir\E/}{}r if -f;
    } }, $dir);

    return sort @files;
}
